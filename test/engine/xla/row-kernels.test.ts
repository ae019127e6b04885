import { describe, expect, it } from 'vitest';
import { createGraph, type Node } from '../../../src/engine/xla/graph.js';
import { kernelsOf, PROVEN_KINDS } from '../../../src/engine/xla/kernel-choice.js';
import {
  add,
  broadcastTo,
  convert,
  divide,
  dot,
  multiply,
  reduce,
  scalarLike,
  unary,
} from '../../../src/engine/xla/ops.js';
import { toBfloat16 } from '../../../src/engine/xla/precision.js';
import { fuseRows } from '../../../src/engine/xla/row-kernels.js';
import { emitModule } from '../../../src/engine/xla/stablehlo.js';

const PRODUCT = { lhsBatch: [], rhsBatch: [], lhsContracting: [1], rhsContracting: [0] };

/** x / √(mean x² + 1e-5) · gain. */
function norm(x: Node, gain: Node): Node {
  const squares = reduce('add', multiply(x, x), [1], true);
  const scale = unary(
    'rsqrt',
    add(divide(squares, scalarLike(squares, x.type.shape[1]!)), scalarLike(squares, 1e-5)),
  );
  return multiply(multiply(x, scale), broadcastTo(gain, x.type.shape));
}

/** The program of a function of x [N, D], w [D, D] and gain [D] with row kernels, as text. */
function fused(rows: number, width: number, record: (x: Node, w: Node, gain: Node) => Node[]): string {
  const graph = createGraph();
  const shapes = [[rows, width], [width, width], [width]];
  const parameters = shapes.map((shape, index) =>
    graph.add({ op: 'parameter', index, name: `p${index}`, type: { element: 'f32', shape } }),
  );
  const [x, w, gain] = parameters as [Node, Node, Node];
  const narrow = toBfloat16({ parameters, results: record(x, w, gain) });
  const { parameters: inputs, results } = fuseRows(narrow, kernelsOf(PROVEN_KINDS));
  return emitModule(
    inputs.map((node, i) => ({ node, name: `p${i}` })),
    results.map((node, i) => ({ node, name: `r${i}` })),
    { name: 'test' },
  );
}

const calls = (text: string) => text.split('\n').filter((line) => line.includes('xla.gpu.triton'));

describe('row kernels', () => {
  it('make one kernel of a residual sum and its norm, which writes the sum, its squares and the norm', () => {
    const text = fused(1024, 96, (x, w, gain) => {
      const start = dot(x, w, PRODUCT);
      const stream = add(start, dot(start, w, PRODUCT));
      return [dot(norm(stream, gain), w, PRODUCT), dot(stream, w, PRODUCT)];
    });
    const [call, ...others] = calls(text);
    expect(others).toEqual([]);
    expect(call).toMatch(/\(tensor<1024x96xbf16>, tensor<1024x96xbf16>, tensor<96xf32>\) -> /);
    // One load of each operand, one sum along the rows.
    expect(call!.split('tt.load').length - 1).toBe(3);
    expect(call!.split('tt.reduce\\22').length - 1).toBe(1);
    expect(text).not.toMatch(/= stablehlo\.rsqrt/);
  });

  it.each([
    ['few rows', 64, 96],
    ['rows that are too wide', 1024, 8192],
  ])('leave %s alone', (_name, rows, width) => {
    const text = fused(rows, width, (x, w, gain) => [dot(norm(dot(x, w, PRODUCT), gain), w, PRODUCT)]);
    expect(calls(text)).toEqual([]);
  });

  it('leave sums alone that are used in another kernel only', () => {
    const text = fused(1024, 96, (x, w) => {
      const y = dot(x, w, PRODUCT);
      const sums = reduce('add', multiply(y, y), [1], true);
      // A product lies between the sum and its use.
      const later = dot(multiply(x, sums), w, PRODUCT);
      return [dot(multiply(later, sums), w, PRODUCT), convert(later, 'f32')];
    });
    for (const call of calls(text))
      expect(call).not.toMatch(/tensor<1024x96xbf16>, tensor<1024x96xbf16>, tensor<1024xf32>/);
  });
});
