import { describe, expect, it } from 'vitest';
import type { Node } from '../../../src/engine/xla/graph.js';
import { KERNEL_KINDS, kernelsOf, PROVEN_KINDS } from '../../../src/engine/xla/kernel-choice.js';
import { kindsSeen, seenText } from '../../../src/engine/xla/kernel-probe.js';
import { agree, kernelProbe } from '../../../src/engine/xla/kernel-probe-programs.js';
import { KERNEL_VERSION } from '../../../src/engine/xla/kernel-table.js';
import { withOwnKernels } from '../../../src/engine/xla/own-kernels.js';
import { evaluate } from './evaluate.js';

const callsUnder = (node: Node): Node[] =>
  node.operation.op === 'custom_call' ? [node] : node.inputs.flatMap(callsUnder);

describe('what a kernel is tried on before its first use', () => {
  it.each(KERNEL_KINDS)('%s: a kernel of that kind, right on plain arrays', (kind) => {
    const { program, values, within } = kernelProbe(kind);
    const operands = values.map((each) => Float64Array.from(each));
    const expected = evaluate(program.results, operands);
    const choose = kernelsOf([kind]);
    const { results } = withOwnKernels(program, choose);
    // Squares are stored in two types; sums take no kernel, but are written otherwise.
    expect(new Set(results.flatMap(callsUnder)).size).toBe({ squares: 2, sums: 0 }[kind as string] ?? 1);
    expect(results).not.toEqual(program.results);
    const actual = evaluate(results, operands);
    expect(within).toHaveLength(actual.length);
    expect(actual.map((each, i) => agree(each, expected[i]!, within[i]!))).toEqual(within.map(() => true));
    // Two results of 0 would agree in any plugin.
    for (const each of expected) expect(each.some((x) => x !== 0)).toBe(true);
  });

  it('numbers that are off, not there, or none', () => {
    expect(agree([1, 2], [1, 2], 0)).toBe(true);
    expect(agree([1, 2.01], [1, 2], 2 ** -7)).toBe(true);
    expect(agree([1, 2.02], [1, 2], 2 ** -7)).toBe(false);
    expect(agree([1, 0], [1, 1e-9], 2 ** -7)).toBe(false);
    expect(agree([1], [1, 2], 1)).toBe(false);
    expect(agree([Number.NaN], [Number.NaN], 1)).toBe(false);
  });
});

describe('what was seen of a plugin', () => {
  const plugin = { package: 'plugin', version: '1' };

  it('is read again', () => {
    expect(kindsSeen(seenText(plugin, PROVEN_KINDS))).toEqual(PROVEN_KINDS);
    expect(kindsSeen(seenText(plugin, []))).toEqual([]);
  });

  it.each([
    [
      'of other kernels',
      seenText(plugin, PROVEN_KINDS).replace(`"kernelVersion":${KERNEL_VERSION}`, '"kernelVersion":0'),
    ],
    ['by an earlier version, which tried norms alone', '{"schemaVersion":1,"plugin":"plugin","version":"1"}'],
    [
      'by one that did not write what it tried',
      `{"schemaVersion":2,"kernelVersion":${KERNEL_VERSION},"kinds":["norms","normGradients","losses","squares","casts"]}`,
    ],
    ['by one that had no sums', seenText(plugin, ['pairs']).replace(',"sums"', '')],
    ['and was cut off', seenText(plugin, PROVEN_KINDS).slice(0, 40)],
    ['in no object', 'null'],
  ])('is tried again when it was seen %s', (_name, text) => {
    expect(kindsSeen(text)).toBeUndefined();
  });
});
