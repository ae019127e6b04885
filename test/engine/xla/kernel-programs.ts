import { createGraph, type Graph, type Node } from '../../../src/engine/xla/graph.js';
import { roundTo } from '../../../src/engine/xla/literals.js';
import {
  add,
  binary,
  broadcastTo,
  compare,
  convert,
  dot,
  iota,
  multiply,
  reduce,
  reshape,
  scalarLike,
  select,
  sliceAxis,
  splatLike,
  subtract,
  unary,
} from '../../../src/engine/xla/ops.js';
import { allNodes } from '../../../src/engine/xla/precision.js';
import { productOf } from '../../../src/engine/xla/products.js';
import { type GraphProgram, rebuild } from '../../../src/engine/xla/rebuild.js';
import type { ElementType, TensorType } from '../../../src/engine/xla/types.js';
import { randomStream } from '../../../src/random.js';
import type { Memory } from './triton-interpreter.js';

/** A function of stored values, as the bfloat16 policy leaves it: what it takes, and what is stored of it. */
export interface Work {
  /** `rows`: bfloat16 [N, D]; `gain`: float32 [D]; `ids`: int32 [N]; `scale`: float32 [N, 1] */
  readonly takes: readonly ('rows' | 'gain' | 'ids' | 'scale')[];
  record(...taken: Node[]): Node[];
}

const narrow = (x: Node): Node => convert(x, 'bf16');
const wide = (x: Node): Node => convert(x, 'f32');

/** Residual sum, and its norm. */
const norm: Work = {
  takes: ['rows', 'rows', 'gain'],
  record(a, b, gain) {
    const stream = narrow(add(wide(a!), wide(b!)));
    const x = wide(stream);
    const squares = reduce('add', multiply(x, x), [1], true);
    const scale = unary(
      'rsqrt',
      add(multiply(squares, scalarLike(squares, 1 / x.type.shape[1]!)), scalarLike(squares, 1e-5)),
    );
    return [stream, squares, narrow(multiply(multiply(x, scale), broadcastTo(gain!, x.type.shape)))];
  },
};

/** The norm's gradient with the residual's after it, and that of the gain. */
const normGradient: Work = {
  takes: ['rows', 'rows', 'rows', 'gain', 'scale'],
  record(dy, x, residual, gain, scale) {
    const [g, v] = [multiply(wide(dy!), broadcastTo(gain!, dy!.type.shape)), wide(x!)];
    const along = reduce('add', multiply(g, v), [1], true);
    const cubed = multiply(multiply(scale!, multiply(scale!, scale!)), along);
    const back = multiply(cubed, scalarLike(cubed, 1 / x!.type.shape[1]!));
    const dx = subtract(multiply(g, scale!), multiply(v, back));
    return [
      narrow(add(dx, wide(residual!))),
      reduce('add', multiply(multiply(wide(dy!), v), broadcastTo(scale!, v.type.shape)), [0]),
    ];
  },
};

/** Cross-entropy without its picked score, and its gradient by the scores. */
const loss: Work = {
  takes: ['rows', 'ids'],
  record(scores, ids) {
    const s = wide(scores!);
    const [count, width] = s.type.shape as [number, number];
    const top = reduce('maximum', s, [1], true);
    const sums = reduce('add', unary('exponential', subtract(s, top)), [1], true);
    const logSum = add(unary('log', sums), top);
    const numbers = reshape(iota(s.graph, { element: 'i32', shape: [width] }, 0), [1, width]);
    const hit = wide(compare('EQ', reshape(ids!, [count, 1]), numbers));
    const difference = subtract(unary('exponential', subtract(s, logSum)), hit);
    return [top, sums, narrow(multiply(difference, splatLike(difference, 1 / count)))];
  },
};

/** Its forward half alone. */
const forwardLoss: Work = {
  takes: ['rows'],
  record: (scores) => loss.record(scores!, scores!.graph.add(numbersOf(scores!))).slice(0, 2),
};
const numbersOf = ({ type }: Node) =>
  ({ op: 'iota', type: { element: 'i32', shape: [type.shape[0]!] }, axis: 0 }) as const;

export const WORKS = { norm, normGradient, loss, forwardLoss };
export const ELEMENTS: Record<Work['takes'][number], ElementType> = {
  ...{ rows: 'bf16', gain: 'f32', ids: 'i32', scale: 'f32' },
};

const product = (x: Node, y: Node, lhs: number, rhs: number): Node =>
  dot(x, y, { lhsBatch: [], rhsBatch: [], lhsContracting: [lhs], rhsContracting: [rhs] });

/** What the gate below takes, and how many results it has. */
export const GATE = { operands: 5, results: 4 };

/** Of bfloat16 [N, D], two float32 [F, D], [N, F], and x·W₁ beside x·W₂, which `backward` alone takes. */
export const gateTypes = (rows: number, width: number, ff: number): TensorType[] => [
  { element: 'bf16', shape: [rows, width] },
  { element: 'f32', shape: [ff, width] },
  { element: 'f32', shape: [ff, width] },
  { element: 'bf16', shape: [rows, ff] },
  { element: 'bf16', shape: [rows, 2 * ff] },
];

/** ReLU(x·W₁) ⊙ x·W₂, then what its gradient makes of x and of the weights, whose own is widened as for an optimizer. */
export function gate([x, ...others]: readonly Node[]): Node[] {
  const [w1, w2, outer] = [narrow(others[0]!), narrow(others[1]!), wide(others[2]!)];
  const [g, u] = [wide(product(x!, w1, 1, 1)), wide(product(x!, w2, 1, 1))];
  const zero = splatLike(g, 0);
  const act = binary('maximum', g, zero);
  const g1 = narrow(select(compare('GT', g, zero), multiply(outer, u), zero));
  const g2 = narrow(multiply(outer, act));
  return [
    narrow(multiply(act, u)),
    narrow(add(wide(product(g1, w1, 1, 0)), wide(product(g2, w2, 1, 0)))),
    wide(product(g1, x!, 0, 0)),
    wide(product(g2, x!, 0, 0)),
  ];
}

/** x·W₁ and x·W₂, or both as one. */
const isOutward = (node: Node): boolean =>
  productOf(node)?.lhsContracting[0] === 1 && node.inputs[0]!.operation.op === 'parameter';

/** A program of gates cut in two after its products were joined, which they are in whole programs alone. */
export const GATE_PARTS: Record<'forward' | 'backward' | 'both', (program: GraphProgram) => GraphProgram> = {
  // The products are results too, behind the others: backward needs them, so no product may swallow the activation.
  forward: ({ parameters, results }) => ({
    parameters,
    results: [...results.filter((_, i) => i % GATE.results === 0), ...allNodes(results).filter(isOutward)],
  }),
  backward({ parameters, results }) {
    const given = (node: Node) => parameters[parameters.indexOf(node.inputs[0]!) + GATE.operands - 1]!;
    return rebuild(
      { parameters, results: results.filter((_, i) => i % GATE.results > 0) },
      (node) => (isOutward(node) ? [given(node)] : node.inputs),
      (node, moved, graph) => {
        if (!isOutward(node)) return graph.add(node.operation, ...node.inputs.map(moved));
        const { inputs, type } = node;
        const width = type.shape[1]!;
        const both = moved(given(node));
        if (both.type.shape[1] === width) return both;
        // Slices of element-wise work's operand, which XLA reads in place.
        const which = parameters.indexOf(inputs[1]!.inputs[0]!) - parameters.indexOf(inputs[0]!) - 1;
        return sliceAxis(both, 1, which * width, (which + 1) * width);
      },
    );
  },
  both: (program) => program,
};

export function record(work: Work, rows: number, width: number) {
  const graph: Graph = createGraph();
  const shapes = { rows: [rows, width], gain: [width], ids: [rows], scale: [rows, 1] };
  const parameters = work.takes.map((what, index) =>
    graph.add({
      ...{ op: 'parameter', index, name: `p${index}` },
      type: { element: ELEMENTS[what], shape: shapes[what] },
    }),
  );
  return { parameters, results: work.record(...parameters) };
}

type Draw = (i: number) => number;
const HOSTILE = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 3e38, -3e38, 1e-40];
export const DRAWS: Record<string, (normal: () => number) => Draw> = {
  'ordinary values': (normal) => () => normal(),
  zeros: () => () => 0,
  'large values': (normal) => () => normal() * 1e4,
  // A hostile value here and there: most rows stay ordinary, and must not be touched by their neighbours.
  'infinities and NaN': (normal) => (i) =>
    i % 97 === 5 ? HOSTILE[((i / 97) % HOSTILE.length) | 0]! : normal(),
};

/** Values of a kind for an operand. */
export function draws(length: number, draw: keyof typeof DRAWS, element: ElementType, seed: number): Memory {
  const stream = randomStream(seed, `draws ${length}`);
  const value = DRAWS[draw]!(() => stream.normal(1)[0]!);
  return Float64Array.from({ length }, (_, i) => roundTo(value(i), element));
}

export function operandsOf(work: Work, rows: number, width: number, draw: keyof typeof DRAWS): Memory[] {
  const stream = randomStream(7, `kernels ${rows} ${width}`);
  const normal = () => stream.normal(1)[0]!;
  const value = DRAWS[draw]!(normal);
  return work.takes.map((what) => {
    const length = { rows: rows * width, gain: width, ids: rows, scale: rows }[what];
    if (what === 'ids') return Float64Array.from({ length }, (_, i) => (i * 31) % width);
    const draws = what === 'rows' ? value : () => 1 + 0.3 * normal();
    return Float64Array.from({ length }, (_, i) => roundTo(draws(i), ELEMENTS[what]));
  });
}
