import { describe, expect, it } from 'vitest';
import { createGraph } from '../../../src/engine/xla/graph.js';
import { DEFAULT_CUT } from '../../../src/engine/xla/kernel-choice.js';
import { multiply, reduce } from '../../../src/engine/xla/ops.js';
import { fuseRows } from '../../../src/engine/xla/row-kernels.js';
import { sizeOf } from '../../../src/engine/xla/types.js';
import { evaluate } from './evaluate.js';
import { draws, record, WORKS } from './kernel-programs.js';
import { atTheEdge, magnitudesOf } from './overflow.js';
import type { Memory } from './triton-interpreter.js';

const { POSITIVE_INFINITY: INFINITE, NaN: NONE } = Number;

describe('sums that overflow in one order and not in another', () => {
  it.each<[edge: boolean, terms: string, x: number[], y: number[]]>([
    [true, 'large ones of both signs', [3e38, 3e38, -3e38, -3e38], [1, 1, 1, 1]],
    [true, 'a product that is too large beside one that takes it back', [3e38, 3e38, 0, 0], [1.2, -1, 0, 0]],
    [true, 'large ones of both signs and an infinite one', [3e38, INFINITE, -3e38, 0], [1, 1, 1, 0]],
    [false, 'one large one', [3e38, 1, -1, 1], [1, 1, 1, 1]],
    [false, 'an infinite factor', [INFINITE, 1, -1, 1], [1, 1, 1, 1]],
    [false, 'none', [NONE, 1, -1, 1], [1, 1, 1, 1]],
    [false, 'ordinary ones', [1, 2, 3, 4], [1, -1, 1, -1]],
  ])('%s: %s', (edge, _terms, x, y) => {
    const graph = createGraph();
    const parameters = [0, 1].map((index) =>
      graph.add({ op: 'parameter', index, name: `p${index}`, type: { element: 'f32', shape: [4, 1] } }),
    );
    const sums = [reduce('add', multiply(parameters[0]!, parameters[1]!), [0])];
    const magnitudes = evaluate(magnitudesOf(sums), [Float64Array.from(x), Float64Array.from(y)]);
    expect(atTheEdge(sums, magnitudes)(0, 0)).toBe(edge);
  });

  // As compared on an H200 by scripts/bench/kernel-times.ts, where 1 of these sums over the rows was infinite in one form
  // and finite in the other (31 of 700 rows of 2,000, 2 of 517 of 4,096).
  it('are where the gradients of norms differ by the order of their rows, and no others', () => {
    const [rows, width] = [1031, 100];
    const program = record(WORKS.normGradient, rows, width);
    const operands = program.parameters.map(({ type: { shape, element } }, i) => {
      const draw = i === 0 ? 'infinities and NaN' : 'ordinary values';
      const some = draws(Math.min(sizeOf(shape), 2 ** 13), draw, element, i);
      return Float64Array.from({ length: sizeOf(shape) }, (_, k) => some[k % some.length]!);
    });
    const mayOverflow = atTheEdge(program.results, evaluate(magnitudesOf(program.results), operands));
    const unlike = (a: ArrayLike<number>, b: ArrayLike<number>, result: number) =>
      Array.from(a).flatMap((x, k) => {
        const finite = Number.isFinite(x) && Number.isFinite(b[k]!);
        return finite || Object.is(x, b[k]) ? [] : [mayOverflow(result, k)];
      });

    const expected = evaluate(program.results, operands);
    const actual = evaluate(fuseRows(program, () => DEFAULT_CUT).results, operands);
    expect(actual.flatMap((values, i) => unlike(values, expected[i]!, i))).not.toContain(false);

    // As 16 neighbours, or every eighth row, are summed first.
    const [dy, x, , , scale] = operands as [Memory, Memory, Memory, Memory, Memory];
    const sums = (partOf: (row: number) => number) =>
      Array.from({ length: width }, (_, column) => {
        const parts = new Float32Array(rows);
        for (let row = 0; row < rows; row++) {
          const at = row * width + column;
          parts[partOf(row)]! += Math.fround(Math.fround(dy[at]! * x[at]!) * scale[row]!);
        }
        return parts.reduce((sum, part) => Math.fround(sum + part), 0);
      });
    const differing = unlike(
      sums((row) => row >> 4),
      sums((row) => row % 8),
      1,
    );
    expect(differing.length).toBeGreaterThan(0);
    expect(differing).not.toContain(false);
  });
});
