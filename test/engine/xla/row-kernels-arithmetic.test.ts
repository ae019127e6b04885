import { describe, expect, it } from 'vitest';
import type { Node } from '../../../src/engine/xla/graph.js';
import { DEFAULT_CUT } from '../../../src/engine/xla/kernel-choice.js';
import { fuseRows } from '../../../src/engine/xla/row-kernels.js';
import { evaluate } from './evaluate.js';
import { operandsOf, record, WORKS } from './kernel-programs.js';
import { compareOn } from './kernel-works.js';

/** More shapes, cuts and values: row-kernels-arithmetic.long.test.ts. */
describe('the arithmetic of kernels for rows', () => {
  it.each(Object.entries(WORKS))('%s gives what its plain form gives', (_name, work) => {
    compareOn(work, 513, 17, DEFAULT_CUT, 'infinities and NaN');
  });

  it('notices an access outside of a buffer', () => {
    const program = record(WORKS.norm, 512, 16);
    const operands = operandsOf(WORKS.norm, 512, 16, 'zeros');
    const { results } = fuseRows(program, () => DEFAULT_CUT);
    expect(() => evaluate(results, [operands[0]!.subarray(1), ...operands.slice(1)])).toThrow(
      /which has 8191/,
    );
  });

  it('notices sums over rows that other rows leak into', () => {
    const { results } = fuseRows(record(WORKS.normGradient, 513, 16), () => DEFAULT_CUT);
    const operands = operandsOf(WORKS.normGradient, 513, 16, 'ordinary values');
    const unmasked = (node: Node): Node => ({
      ...node,
      inputs: node.inputs.map(unmasked),
      ...(node.operation.op === 'custom_call' && {
        operation: {
          ...node.operation,
          config: node.operation.config.replace(
            /arith\.cmpi slt, (%v\d+), %v\d+ : tensor<\d+xi32>/g,
            'arith.cmpi eq, $1, $1 : tensor<1xi32>',
          ),
        },
      }),
    });
    expect(() => evaluate(results.map(unmasked), operands)).toThrow(/element \d+ of %/);
  });
});
