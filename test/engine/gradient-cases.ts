import * as tf from '@tensorflow/tfjs-core';

type Tensor = tf.Tensor;

/** One differentiable function of float32 inputs, for tests that compare gradients. */
export interface GradientCase {
  name: string;
  /** Shapes of the inputs; values are drawn from `range`. */
  shapes: number[][];
  /** Keeps inputs inside a function's domain and off its kinks; default [-2, 2]. */
  range?: [number, number];
  fn: (...inputs: Tensor[]) => Tensor;
}

const unary = (name: string, fn: (x: Tensor) => Tensor, range?: [number, number]): GradientCase => ({
  name,
  shapes: [[2, 3]],
  fn,
  ...(range && { range }),
});

/** Products of x and what is constant almost everywhere: the gradient through the latter is 0. */
const through = (steps: Record<string, (x: Tensor) => Tensor>): GradientCase[] =>
  Object.entries(steps).map(([name, step]) =>
    unary(`through ${name}`, (x) => tf.mul(x, tf.cast(step(x), 'float32'))),
  );

const binary = (
  name: string,
  fn: (a: Tensor, b: Tensor) => Tensor,
  range?: [number, number],
): GradientCase[] => [
  {
    name,
    shapes: [
      [2, 3],
      [2, 3],
    ],
    fn,
    ...(range && { range }),
  },
  {
    name: `${name}, broadcast`,
    shapes: [
      [3, 1],
      [2, 1, 4],
    ],
    fn,
    ...(range && { range }),
  },
];

const indices = (values: number[], shape: number[]) => tf.tensor(values, shape, 'int32');

export const GRADIENT_CASES: GradientCase[] = [
  unary('abs', tf.abs),
  unary('acos', tf.acos, [-0.8, 0.8]),
  unary('acosh', tf.acosh, [1.5, 3]),
  unary('asin', tf.asin, [-0.8, 0.8]),
  unary('asinh', tf.asinh),
  unary('atan', tf.atan),
  unary('atanh', tf.atanh, [-0.7, 0.7]),
  unary('ceil', tf.ceil),
  unary('clipByValue', (x) => tf.clipByValue(x, -1, 0.5)),
  unary('cos', tf.cos),
  unary('cosh', tf.cosh),
  unary('elu', tf.elu),
  unary('erf', tf.erf),
  unary('exp', tf.exp),
  unary('expm1', tf.expm1),
  unary('floor', tf.floor),
  unary('leakyRelu', (x) => tf.leakyRelu(x, 0.3)),
  unary('log', tf.log, [0.5, 3]),
  unary('log1p', tf.log1p, [-0.5, 2]),
  unary('logSigmoid', tf.logSigmoid),
  unary('neg', tf.neg),
  unary('reciprocal', tf.reciprocal, [0.5, 2]),
  unary('relu', tf.relu),
  unary('relu6', (x) => tf.relu6(x), [-8, 8]),
  unary('round', tf.round),
  unary('rsqrt', tf.rsqrt, [0.5, 3]),
  unary('selu', tf.selu),
  unary('sigmoid', tf.sigmoid),
  unary('sign', tf.sign),
  unary('sin', tf.sin),
  unary('sinh', tf.sinh),
  unary('softplus', tf.softplus),
  unary('sqrt', tf.sqrt, [0.5, 3]),
  unary('square', tf.square),
  unary('step', (x) => tf.step(x)),
  unary('tan', tf.tan, [-1, 1]),
  unary('tanh', tf.tanh),
  ...through({
    greater: (x) => tf.greater(x, 0.5),
    'isNaN and logicalNot': (x) => tf.logicalNot(tf.isNaN(x)),
    less: (x) => tf.less(x, 0.5),
    lessEqual: (x) => tf.lessEqual(x, 0.5),
    greaterEqual: (x) => tf.greaterEqual(x, 0.5),
    notEqual: (x) => tf.notEqual(x, 0.5),
    floorDiv: (x) => tf.floorDiv(x, 0.5),
    isFinite: tf.isFinite,
    isInf: tf.isInf,
    onesLike: tf.onesLike,
    logicalAnd: (x) => tf.logicalAnd(tf.less(x, 1), tf.greater(x, 0)),
    logicalOr: (x) => tf.logicalOr(tf.less(x, -1), tf.greater(x, 0)),
    all: (x) => tf.all(tf.greater(x, 0), 0),
    any: (x) => tf.any(tf.greater(x, 0), 0),
    'argMax and oneHot': (x) => tf.oneHot(tf.argMax(x, 1), 3),
    'argMin and oneHot': (x) => tf.oneHot(tf.argMin(x, 1), 3),
  }),
  ...binary('add', tf.add),
  ...binary('sub', tf.sub),
  ...binary('mul', tf.mul),
  ...binary('div', tf.div, [0.5, 2]),
  ...binary('divNoNan', tf.divNoNan, [0.5, 2]),
  ...binary('maximum', tf.maximum),
  ...binary('minimum', tf.minimum),
  ...binary('squaredDifference', tf.squaredDifference),
  ...binary('pow', tf.pow, [0.5, 2]),
  ...binary('atan2', tf.atan2, [0.5, 2]),
  ...binary('mod', (a, b) => tf.mod(tf.add(a, 2), b), [1.4, 1.6]),
  ...binary('floor of a ratio', (a, b) => tf.mul(a, tf.floor(tf.div(tf.add(a, 2), b))), [1.4, 1.6]),
  { name: 'pow of 0 by a constant', shapes: [[3]], range: [0, 0], fn: (x) => tf.pow(x, 2) },
  { name: 'prelu', shapes: [[2, 3], [3]], fn: (x, alpha) => tf.prelu(x, alpha) },
  {
    name: 'where',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    fn: (a, b) => tf.where(tf.tensor([1, 0, 1, 0, 0, 1], [2, 3], 'bool'), a, b),
  },
  {
    name: 'where, broadcast',
    shapes: [[2, 3], [1]],
    fn: (a, b) => tf.where(tf.tensor([1, 0, 1], [3], 'bool'), a, b),
  },
  {
    name: 'addN',
    shapes: [
      [2, 2],
      [2, 2],
      [2, 2],
    ],
    fn: (...xs) => tf.addN(xs),
  },
  ...[false, true].flatMap((ta) =>
    [false, true].flatMap((tb): GradientCase[] => {
      const a = ta ? [3, 2] : [2, 3];
      const b = tb ? [4, 3] : [3, 4];
      const fn = (x: Tensor, y: Tensor) => tf.matMul(x, y, ta, tb);
      const name = `matMul ${ta ? 'aᵀ' : 'a'}·${tb ? 'bᵀ' : 'b'}`;
      return [
        { name, shapes: [a, b], fn },
        {
          name: `${name}, batches`,
          shapes: [
            [2, ...a],
            [2, ...b],
          ],
          fn,
        },
        { name: `${name}, one b for all`, shapes: [[2, ...a], b], fn },
        {
          name: `${name}, batches broadcast`,
          shapes: [
            [1, ...a],
            [3, ...b],
          ],
          fn,
        },
      ];
    }),
  ),
  {
    name: 'fused matMul with bias and relu',
    shapes: [[2, 3], [3, 4], [4]],
    fn: (a, b, bias) =>
      tf.fused.matMul({ a: a as tf.Tensor2D, b: b as tf.Tensor2D, bias, activation: 'relu' }),
  },
  { name: 'sum', shapes: [[2, 3, 2]], fn: (x) => tf.sum(x) },
  { name: 'sum of an axis', shapes: [[2, 3, 2]], fn: (x) => tf.sum(x, [1]) },
  { name: 'sum, kept', shapes: [[2, 3, 2]], fn: (x) => tf.sum(x, [0, -1], true) },
  { name: 'mean', shapes: [[2, 3, 2]], fn: (x) => tf.mean(x) },
  { name: 'mean of an axis, kept', shapes: [[2, 3]], fn: (x) => tf.mean(x, -1, true) },
  { name: 'max', shapes: [[2, 5]], fn: (x) => tf.max(x, 1) },
  { name: 'max, first axis, kept', shapes: [[4, 2]], fn: (x) => tf.max(x, 0, true) },
  { name: 'min', shapes: [[2, 5]], fn: (x) => tf.min(x, -1) },
  { name: 'prod', shapes: [[2, 3, 2]], fn: (x) => tf.prod(x, [0, 2]) },
  { name: 'cumsum', shapes: [[2, 4]], fn: (x) => tf.cumsum(x, 1, true, false) },
  { name: 'cumsum, reversed', shapes: [[4, 2]], fn: (x) => tf.cumsum(x, 0, false, true) },
  { name: 'softmax', shapes: [[2, 4]], fn: (x) => tf.softmax(x) },
  { name: 'logSoftmax', shapes: [[2, 4]], fn: (x) => tf.logSoftmax(x) },
  { name: 'logSumExp', shapes: [[2, 4]], fn: (x) => tf.logSumExp(x, 1) },
  { name: 'norm', shapes: [[2, 4]], fn: (x) => tf.norm(x) },
  { name: 'reshape', shapes: [[2, 6]], fn: (x) => tf.reshape(x, [3, 4]) },
  { name: 'expandDims', shapes: [[2, 3]], fn: (x) => tf.expandDims(x, 1) },
  { name: 'squeeze', shapes: [[2, 1, 3]], fn: (x) => tf.squeeze(x, [1]) },
  { name: 'broadcastTo', shapes: [[2, 1]], fn: (x) => tf.broadcastTo(x, [3, 2, 4]) },
  { name: 'transpose', shapes: [[2, 3, 4]], fn: (x) => tf.transpose(x, [2, 0, 1]) },
  { name: 'reverse', shapes: [[2, 3]], fn: (x) => tf.reverse(x, [1]) },
  { name: 'tile', shapes: [[2, 3]], fn: (x) => tf.tile(x, [1, 3]) },
  { name: 'slice', shapes: [[4, 3]], fn: (x) => tf.slice(x, [1, 0], [2, 2]) },
  { name: 'slice of the first axis', shapes: [[4, 3]], fn: (x) => tf.slice(x, 1, 2) },
  {
    name: 'pad',
    shapes: [[2, 2]],
    fn: (x) =>
      tf.pad(x, [
        [1, 0],
        [0, 2],
      ]),
  },
  {
    name: 'concat',
    shapes: [
      [2, 1],
      [2, 3],
    ],
    fn: (a, b) => tf.concat([a, b], 1),
  },
  {
    name: 'concat of three',
    shapes: [
      [1, 2],
      [3, 2],
      [2, 2],
    ],
    fn: (...xs) => tf.concat(xs, 0),
  },
  {
    name: 'stack',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    fn: (a, b) => tf.stack([a, b], 1),
  },
  {
    name: 'split',
    shapes: [[2, 6]],
    fn: (x) => {
      const [a, b, c] = tf.split(x, 3, 1) as [Tensor, Tensor, Tensor];
      return tf.add(tf.mul(a, b), c);
    },
  },
  {
    name: 'split, one part unused',
    shapes: [[2, 5]],
    fn: (x) => (tf.split(x, [2, 3], 1) as Tensor[])[1]!,
  },
  { name: 'unstack', shapes: [[3, 2]], fn: (x) => (tf.unstack(x, 0) as Tensor[])[2]! },
  { name: 'gather', shapes: [[4, 3]], fn: (x) => tf.gather(x, indices([3, 0, 3], [3])) },
  {
    name: 'gather, axis 1, matrix of indices',
    shapes: [[2, 4, 2]],
    fn: (x) => tf.gather(x, indices([3, 0, 3, 1], [2, 2]), 1),
  },
  {
    name: 'gather in batches',
    shapes: [[2, 4]],
    fn: (x) => tf.gather(x, indices([3, 0], [2, 1]), 1, 1),
  },
  {
    name: 'gather in batches, inner axes',
    shapes: [[2, 3, 2]],
    fn: (x) => tf.gather(x, indices([2, 0, 2, 1, 1, 1], [2, 3]), 1, 1),
  },
  { name: 'gatherND', shapes: [[3, 4]], fn: (x) => tf.gatherND(x, indices([0, 1, 2, 3, 0, 1], [3, 2])) },
  {
    name: 'scatterND',
    shapes: [[3, 2]],
    fn: (x) => tf.scatterND(indices([0, 2, 0], [3, 1]), x, [4, 2]),
  },
  {
    name: 'relu of a gated product',
    shapes: [
      [2, 3],
      [4, 3],
      [4, 3],
    ],
    fn: (x, gate, up) => tf.mul(tf.relu(tf.matMul(x, gate, false, true)), tf.matMul(x, up, false, true)),
  },
];

/** Cases of kernels that tfjs's wasm backend does not have. */
export const SEGMENT_CASES: GradientCase[] = [
  {
    name: 'unsortedSegmentSum',
    shapes: [[4, 2]],
    fn: (x) => tf.unsortedSegmentSum(x, tf.tensor1d([2, 0, 2, 1], 'int32'), 3),
  },
];

/** Values in `range`, the same for the same case; never within 0.05 of an integer multiple of ½ (kinks lie there). */
export function caseInputs({
  shapes,
  range = [-2, 2],
}: GradientCase): { values: Float32Array; shape: number[] }[] {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const draw = (): number => {
    const value = range[0] + (range[1] - range[0]) * uniform();
    const off = Math.abs(value * 2 - Math.round(value * 2)) / 2;
    return off < 0.05 && range[0] < range[1] ? draw() : value;
  };
  return shapes.map((shape) => ({
    shape,
    values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, draw),
  }));
}

/** The gradients of a case's inputs for a fixed, uneven gradient of its result. */
export const gradientsOf =
  (test: GradientCase) =>
  (...xs: tf.Tensor[]) => {
    const shape = tf.tidy(() => test.fn(...xs).shape);
    const size = shape.reduce((a, b) => a * b, 1);
    const dy = tf.tensor(
      Float32Array.from({ length: size }, (_, i) => Math.cos(i + 1)),
      shape,
    );
    return tf.grads(test.fn)(xs, dy);
  };
