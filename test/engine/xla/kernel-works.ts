import { expect } from 'vitest';
import type { Node } from '../../../src/engine/xla/graph.js';
import { type Cut, DEFAULT_CUT } from '../../../src/engine/xla/kernel-choice.js';
import { fuseRows } from '../../../src/engine/xla/row-kernels.js';
import { evaluate } from './evaluate.js';
import { type DRAWS, operandsOf, record, type Work } from './kernel-programs.js';
import type { Memory } from './triton-interpreter.js';

/** Equal up to a rounding of bfloat16, or of sums in another order; what is not finite must be so in both. */
function expectClose(actual: Memory, expected: Memory, scale: number): void {
  for (const [i, want] of expected.entries()) {
    const got = actual[i]!;
    if (Number.isFinite(want)) {
      if (!(Math.abs(got - want) <= 2 ** -7 * Math.abs(want) + scale)) expect([i, got]).toEqual([i, want]);
    } else if (!Object.is(got, want)) expect([i, got]).toEqual([i, want]);
  }
}

export function compareOn(work: Work, rows: number, width: number, cut: Cut, draw: keyof typeof DRAWS): void {
  const program = record(work, rows, width);
  const operands = operandsOf(work, rows, width, draw);
  const fused = fuseRows(program, () => cut);
  const calls = new Set(fused.results.flatMap((node) => callsUnder(node)));
  expect(calls.size).toBe(1);
  const actual = evaluate(fused.results, operands);
  const expected = evaluate(program.results, operands);
  const size = draw === 'large values' ? 1e4 : 1;
  // What cancels in a sum over many terms is as wrong as its terms.
  for (const [i, values] of actual.entries()) expectClose(values, expected[i]!, 2e-5 * size ** 2);
}

const callsUnder = (node: Node): Node[] =>
  node.operation.op === 'custom_call' ? [node] : node.inputs.flatMap(callsUnder);

export const CUTS: Record<string, Cut> = {
  'as they start': DEFAULT_CUT,
  'one row at once': { lanesAtOnce: 1, rowsOfInstance: 7, warps: 8 },
  'all rows of an instance at once': { lanesAtOnce: 4096, rowsOfInstance: 8, warps: 2 },
  'rounds that are no power of two': { lanesAtOnce: 128, rowsOfInstance: 22, warps: 4 },
  'operands ahead of their round': { ...DEFAULT_CUT, stages: 3 },
};
