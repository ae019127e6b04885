import { describe, expect, it } from 'vitest';
import { createGraph, type Node } from '../../../src/engine/xla/graph.js';
import { kernelsOf } from '../../../src/engine/xla/kernel-choice.js';
import { add, convert, multiply, reduce, scalarLike, unary } from '../../../src/engine/xla/ops.js';
import { fuseTensors } from '../../../src/engine/xla/tensor-kernels.js';
import { sizeOf } from '../../../src/engine/xla/types.js';
import { evaluate } from './evaluate.js';
import { draws } from './kernel-programs.js';

const SMALL = {
  casts: { lanesAtOnce: 64, rowsOfInstance: 1, warps: 4 },
  squares: { lanesAtOnce: 32, rowsOfInstance: 3, warps: 4 },
};

const callsUnder = (node: Node): Node[] =>
  node.operation.op === 'custom_call' ? [node] : node.inputs.flatMap(callsUnder);

/** Arguments of these shapes, float32, and a program of them. */
function program(shapes: readonly (readonly number[])[], record: (parameters: Node[]) => Node[]) {
  const graph = createGraph();
  const parameters = shapes.map((shape, index) =>
    graph.add({ op: 'parameter', index, name: `p${index}`, type: { element: 'f32', shape } }),
  );
  return { parameters, results: record(parameters) };
}

const norm = (tensors: readonly Node[]): Node =>
  unary(
    'sqrt',
    tensors
      .map((x) =>
        reduce(
          'add',
          multiply(x, x),
          x.type.shape.map((_, i) => i),
        ),
      )
      .reduce(add),
  );

const SHAPES = [[3, 5], [64], [1], [7, 9, 2], [128, 3], [33]];

describe('kernels over many tensors', () => {
  it('round all arguments that are taken in bfloat16, to the same bits', () => {
    const given = program(SHAPES, (all) => all.map((x) => convert(x, 'bf16')));
    const fused = fuseTensors(given, kernelsOf(['casts'], SMALL));
    expect(new Set(fused.results.flatMap(callsUnder)).size).toBe(1);
    const operands = SHAPES.map((shape, i) => draws(sizeOf(shape), 'infinities and NaN', 'f32', i));
    expect(evaluate(fused.results, operands)).toEqual(evaluate(given.results, operands));
  });

  it.each(['ordinary values', 'zeros', 'large values', 'infinities and NaN'] as const)(
    'sum all squares: %s',
    (draw) => {
      // Half of the tensors are stored in bfloat16.
      const given = program(SHAPES, (all) => [
        norm(all.map((x, i) => (i % 2 ? convert(convert(x, 'bf16'), 'f32') : x))),
      ]);
      const fused = fuseTensors(given, kernelsOf(['squares'], SMALL));
      expect(new Set(fused.results.flatMap(callsUnder)).size).toBe(2);
      const operands = SHAPES.map((shape, i) => draws(sizeOf(shape), draw, 'f32', i));
      const actual = evaluate(fused.results, operands)[0]![0]!;
      const expected = evaluate(given.results, operands)[0]![0]!;
      if (Number.isFinite(expected)) expect(Math.abs(actual / expected - 1) || 0).toBeLessThan(1e-6);
      else expect(actual).toBe(expected);
    },
  );

  it('keep what else is added to the sum, and what else the squares are for', () => {
    const given = program([[40], [50], []], ([x, y, z]) => {
      const squares = multiply(x!, x!);
      return [add(add(reduce('add', squares, [0]), z!), reduce('add', multiply(y!, y!), [0])), squares];
    });
    const fused = fuseTensors(given, kernelsOf(['squares'], SMALL));
    expect(new Set(fused.results.flatMap(callsUnder)).size).toBe(1);
    const operands = [40, 50, 1].map((length, i) => draws(length, 'ordinary values', 'f32', i));
    const [sum, squares] = evaluate(fused.results, operands);
    const [wanted, all] = evaluate(given.results, operands);
    expect(sum![0]).toBeCloseTo(wanted![0]!, 4);
    expect(squares).toEqual(all);
  });

  it.each<[string, (x: Node, y: Node) => Node]>([
    ['a single tensor', (x) => reduce('add', multiply(x, x), [0])],
    ['sums of something else', (x, y) => add(reduce('add', x, [0]), reduce('add', y, [0]))],
    ['sums that are not added', (x, y) => multiply(norm([x]), norm([y]))],
    [
      'a sum that is used on the way',
      (x, y) => {
        const first = add(norm([x]), scalarLike(x, 1));
        return add(multiply(first, first), norm([y]));
      },
    ],
  ])('leave %s alone', (_name, record) => {
    const given = program([[40], [50]], ([x, y]) => [record(x!, y!)]);
    expect(fuseTensors(given, kernelsOf(['squares', 'casts'], SMALL)).results.flatMap(callsUnder)).toEqual(
      [],
    );
  });

  it('take more tensors than one kernel has arguments for', () => {
    const shapes = Array.from({ length: 253 }, (_, i) => [1 + (i % 3)]);
    const given = program(shapes, (all) => all.map((x) => convert(x, 'bf16')));
    const fused = fuseTensors(given, kernelsOf(['casts'], SMALL));
    const kernels = new Set(fused.results.flatMap(callsUnder));
    expect([...kernels].map(({ inputs }) => inputs.length)).toEqual([250, 3]);
    const operands = shapes.map((shape, i) => draws(sizeOf(shape), 'ordinary values', 'f32', i));
    expect(evaluate(fused.results, operands)).toEqual(evaluate(given.results, operands));
  });
});
