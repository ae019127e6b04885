import { createGraph, type Graph, type Node } from '../../../src/engine/xla/graph.js';
import { roundTo } from '../../../src/engine/xla/literals.js';
import {
  add,
  broadcastTo,
  compare,
  convert,
  iota,
  multiply,
  reduce,
  reshape,
  scalarLike,
  splatLike,
  subtract,
  unary,
} from '../../../src/engine/xla/ops.js';
import type { ElementType } from '../../../src/engine/xla/types.js';
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
