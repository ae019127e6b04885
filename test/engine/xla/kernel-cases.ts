import * as tf from '@tensorflow/tfjs-core';
import { computedOnce } from '../../../src/engine/table.js';

type Tensor = tf.Tensor;

/** Host values and dtype of one input. */
export interface CaseInput {
  dtype: 'float32' | 'int32' | 'bool';
  shape: number[];
  values: number[];
}

/** One function whose results must be the same on tfjs's cpu backend and in a compiled program. */
export interface KernelCase {
  /** The kernel under test, which `fn` must run. */
  kernel: string;
  inputs: CaseInput[];
  fn: (...inputs: Tensor[]) => Tensor | Tensor[];
  /** Largest relative error; default 2e-6. */
  tolerance?: number;
}

export const f = (shape: number[], values: number[]): CaseInput => ({ dtype: 'float32', shape, values });
export const i = (shape: number[], values: number[]): CaseInput => ({ dtype: 'int32', shape, values });
export const b = (shape: number[], values: number[]): CaseInput => ({ dtype: 'bool', shape, values });

const MIXED = f([2, 5], [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 3.2, -7.1, 0.1]);
const EXTREMES = f([6], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1, -1]);
const WIDE = f([7], [-30, -10, -1e-4, 0, 1e-4, 10, 30]);
const WHOLE = i([2, 3], [-7, -3, 0, 2, 7, 100]);
const SMALL = f([2, 3], [0.1, 0.9, -0.4, 0.2, -0.99, 0.5]);
const TRUTHS = b([2, 3], [1, 0, 1, 1, 0, 0]);

const unary = (
  kernel: string,
  fn: (x: Tensor) => Tensor,
  inputs: CaseInput[],
  tolerance?: number,
): KernelCase[] => inputs.map((input) => ({ kernel, inputs: [input], fn, ...(tolerance && { tolerance }) }));

const PAIR = [f([2, 3], [-7.5, -3, 0.5, 2, 7, 10]), f([2, 3], [2, -2.5, 0.5, -3, 3, 4])];
const ROWS = [f([2, 3], [-7.5, -3, 0.5, 2, 7, 10]), f([3], [2, -2.5, 0.75])];
const WHOLES = [i([2, 3], [-7, -3, 5, 2, 7, 10]), i([2, 3], [2, -2, 5, -3, 3, 4])];

const binary = (kernel: string, fn: (a: Tensor, b: Tensor) => Tensor, inputs: CaseInput[][]): KernelCase[] =>
  inputs.map((pair) => ({ kernel, inputs: pair, fn }));

const MATRIX = f([3, 4], [3, -1, 2, 5, 0, 8, -2, 1, 7, 7, 1, -4]);
const CUBE = f([2, 3, 2], [1, -2, 3, 4, -5, 6, 7, 8, -9, 10, 11, 12]);

export const KERNEL_CASES: KernelCase[] = [
  ...unary('Abs', tf.abs, [MIXED, WHOLE, EXTREMES]),
  ...unary('Acos', tf.acos, [SMALL]),
  ...unary('Acosh', tf.acosh, [f([3], [1, 1.5, 100])]),
  ...unary('Asin', tf.asin, [SMALL]),
  ...unary('Asinh', tf.asinh, [MIXED, WIDE]),
  ...unary('Atan', tf.atan, [MIXED, EXTREMES]),
  ...unary('Atanh', tf.atanh, [SMALL]),
  ...unary('Ceil', tf.ceil, [MIXED]),
  ...unary('ComputedOnce', computedOnce, [MIXED]),
  ...unary('Cos', tf.cos, [MIXED]),
  ...unary('Cosh', tf.cosh, [MIXED]),
  ...unary('Elu', tf.elu, [MIXED]),
  ...unary('Erf', tf.erf, [MIXED, WIDE], 1e-6),
  ...unary('Exp', tf.exp, [MIXED, EXTREMES]),
  ...unary('Expm1', tf.expm1, [MIXED, f([3], [-1e-5, 0, 1e-5])]),
  ...unary('Floor', tf.floor, [MIXED]),
  ...unary('Identity', tf.clone, [MIXED, WHOLE, TRUTHS]),
  ...unary('IsFinite', tf.isFinite, [EXTREMES]),
  ...unary('IsInf', tf.isInf, [EXTREMES]),
  ...unary('IsNan', tf.isNaN, [EXTREMES]),
  ...unary('LeakyRelu', (x) => tf.leakyRelu(x, 0.1), [MIXED]),
  ...unary('Log', tf.log, [f([4], [0.01, 1, 5, 1e6]), EXTREMES]),
  ...unary('Log1p', tf.log1p, [f([4], [-0.5, 1e-5, 0, 10])]),
  ...unary('LogicalNot', tf.logicalNot, [TRUTHS]),
  ...unary('Neg', tf.neg, [MIXED, WHOLE]),
  ...unary('OnesLike', tf.onesLike, [MIXED, WHOLE]),
  ...unary('Reciprocal', tf.reciprocal, [f([3], [0.5, -4, 3])]),
  ...unary('Relu', tf.relu, [MIXED, WHOLE]),
  ...unary('Relu6', (x) => tf.relu6(x), [MIXED]),
  ...unary('Round', tf.round, [MIXED]),
  ...unary('Rsqrt', tf.rsqrt, [f([3], [0.25, 3, 1e4])]),
  ...unary('Selu', tf.selu, [MIXED]),
  ...unary('Sigmoid', tf.sigmoid, [MIXED, WIDE]),
  ...unary('Sign', tf.sign, [MIXED]),
  ...unary('Sin', tf.sin, [MIXED]),
  ...unary('Sinh', tf.sinh, [MIXED, f([2], [-1e-4, 1e-4])], 5e-6),
  ...unary('Softplus', tf.softplus, [MIXED, WIDE]),
  ...unary('Sqrt', tf.sqrt, [f([3], [0.25, 3, 1e4])]),
  ...unary('Square', tf.square, [MIXED, WHOLE]),
  ...unary('Step', (x) => tf.step(x, 0.25), [MIXED]),
  ...unary('Tan', tf.tan, [SMALL]),
  ...unary('Tanh', tf.tanh, [MIXED, WIDE]),
  ...unary('ZerosLike', tf.zerosLike, [MIXED, WHOLE]),
  ...unary('ClipByValue', (x) => tf.clipByValue(x, -1, 2), [MIXED]),
  ...(['float32', 'int32', 'bool'] as const).flatMap((dtype) =>
    unary('Cast', (x) => tf.cast(x, dtype), [MIXED, WHOLE, TRUTHS]),
  ),

  ...binary('Add', tf.add, [PAIR, ROWS, WHOLES]),
  ...binary('Sub', tf.sub, [PAIR, ROWS, WHOLES]),
  ...binary('Multiply', tf.mul, [PAIR, ROWS, WHOLES]),
  ...binary('RealDiv', tf.div, [PAIR, ROWS]),
  ...binary('FloorDiv', tf.floorDiv, [PAIR, ROWS, WHOLES]),
  ...binary('Mod', tf.mod, [PAIR, ROWS, WHOLES]),
  ...binary('Maximum', tf.maximum, [PAIR, ROWS, WHOLES]),
  ...binary('Minimum', tf.minimum, [PAIR, ROWS, WHOLES]),
  ...binary('SquaredDifference', tf.squaredDifference, [PAIR, ROWS]),
  ...binary('Atan2', tf.atan2, [PAIR, ROWS]),
  ...binary('Pow', tf.pow, [
    [f([3], [0.5, 2, 3]), f([3], [2, -1.5, 0.5])],
    [i([3], [2, 3, -2]), i([3], [3, 2, 3])],
  ]),
  ...[2, 3, -1, 0, 1, 0.5].map(
    (n): KernelCase => ({
      kernel: 'Pow',
      inputs: [f([3], [0.5, 2, 3])],
      fn: (x) => tf.pow(x, n),
    }),
  ),
  ...binary('Equal', tf.equal, [PAIR, WHOLES]),
  ...binary('NotEqual', tf.notEqual, [PAIR, WHOLES]),
  ...binary('Greater', tf.greater, [PAIR, WHOLES]),
  ...binary('GreaterEqual', tf.greaterEqual, [PAIR, WHOLES]),
  ...binary('Less', tf.less, [PAIR, ROWS]),
  ...binary('LessEqual', tf.lessEqual, [PAIR, ROWS]),
  ...binary('LogicalAnd', tf.logicalAnd, [[TRUTHS, b([2, 3], [1, 1, 0, 1, 0, 1])]]),
  ...binary('LogicalOr', tf.logicalOr, [[TRUTHS, b([2, 3], [1, 1, 0, 1, 0, 1])]]),
  ...binary('BitwiseAnd', tf.bitwiseAnd, [[i([3], [12, 7, 255]), i([3], [10, 9, 16])]]),
  ...binary('Prelu', tf.prelu, [ROWS]),
  {
    kernel: 'EluGrad',
    inputs: PAIR,
    fn: (dy, y) => tf.engine().runKernel('EluGrad', { dy, y } as unknown as tf.NamedTensorMap) as Tensor,
  },
  { kernel: 'AddN', inputs: [...PAIR, PAIR[0]!], fn: (...xs) => tf.addN(xs) },
  { kernel: 'Select', inputs: [TRUTHS, ...PAIR], fn: (c, x, y) => tf.where(c!, x!, y!) },
  { kernel: 'Add', inputs: [f([], [2]), f([2, 1, 2], [1, 2, 3, 4])], fn: (x, y) => tf.add(x!, y!) },

  { kernel: 'BatchMatMul', inputs: [CUBE, f([2, 2], [1, 2, 3, 4])], fn: (x, y) => tf.matMul(x!, y!) },
  {
    kernel: 'BatchMatMul',
    inputs: [CUBE, f([1, 4, 2], [1, 2, 3, 4, 5, 6, 7, 8])],
    fn: (x, y) => tf.matMul(x!, y!, false, true),
  },
  {
    kernel: 'BatchMatMul',
    inputs: [CUBE, CUBE],
    fn: (x, y) => tf.matMul(tf.transpose(x!, [0, 2, 1]), tf.transpose(y!, [0, 2, 1]), false, true),
  },
  ...(['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const).map(
    (activation): KernelCase => ({
      kernel: '_FusedMatMul',
      inputs: [MATRIX, f([2, 4], [1, 0, -2, 0.5, 1, 1, 1, 1]), f([2], [0.5, -3])],
      fn: (x, y, bias) =>
        tf.fused.matMul({
          a: x as tf.Tensor2D,
          b: y as tf.Tensor2D,
          bias: bias!,
          transposeB: true,
          activation,
          leakyreluAlpha: 0.2,
        }),
    }),
  ),
  {
    kernel: '_FusedMatMul',
    inputs: [MATRIX, f([4, 1], [1, 0, -2, 0.5]), f([1], [0.3])],
    fn: (x, y, w) =>
      tf.fused.matMul({
        a: x as tf.Tensor2D,
        b: y as tf.Tensor2D,
        activation: 'prelu',
        preluActivationWeights: w!,
      }),
  },
  { kernel: 'Einsum', inputs: [MATRIX, MATRIX], fn: (x, y) => tf.einsum('ij,kj->ik', x!, y!) },
  { kernel: 'Einsum', inputs: [CUBE, CUBE], fn: (x, y) => tf.einsum('bij,bkj->bki', x!, y!) },
  { kernel: 'Einsum', inputs: [CUBE, f([2], [1, 10])], fn: (x, y) => tf.einsum('bij,j->bi', x!, y!) },
  { kernel: 'Einsum', inputs: [MATRIX], fn: (x) => tf.einsum('ij->j', x!) },

  ...([null, 0, 1, [0, 1]] as (number | number[])[]).flatMap((axis): KernelCase[] => [
    { kernel: 'Sum', inputs: [MATRIX], fn: (x) => tf.sum(x!, axis) },
    { kernel: 'Mean', inputs: [MATRIX], fn: (x) => tf.mean(x!, axis, true) },
    { kernel: 'Max', inputs: [MATRIX], fn: (x) => tf.max(x!, axis) },
    { kernel: 'Min', inputs: [MATRIX], fn: (x) => tf.min(x!, axis, true) },
    { kernel: 'Prod', inputs: [SMALL], fn: (x) => tf.prod(x!, axis) },
  ]),
  { kernel: 'Sum', inputs: [WHOLE], fn: (x) => tf.sum(x!, 1) },
  { kernel: 'Sum', inputs: [TRUTHS], fn: (x) => tf.sum(x!, -1) },
  { kernel: 'Max', inputs: [WHOLE], fn: (x) => tf.max(x!, 0, true) },
  { kernel: 'All', inputs: [TRUTHS], fn: (x) => tf.all(x!, 0) },
  { kernel: 'Any', inputs: [TRUTHS], fn: (x) => tf.any(x!, 1, true) },
  { kernel: 'ArgMax', inputs: [MATRIX], fn: (x) => tf.argMax(x!, 1) },
  { kernel: 'ArgMin', inputs: [MATRIX], fn: (x) => tf.argMin(x!, 0) },
  {
    kernel: 'Bincount',
    inputs: [i([6], [1, 3, 1, 0, 3, 3])],
    fn: (x) => tf.bincount(x as tf.Tensor1D, tf.tensor1d([]), 5),
  },
  {
    kernel: 'Bincount',
    inputs: [i([3], [1, 3, 1]), f([3], [0.5, 2, 4])],
    fn: (x, w) => tf.bincount(x as tf.Tensor1D, w as tf.Tensor1D, 4),
  },
  ...[false, true].flatMap((exclusive) =>
    [false, true].flatMap((reverse): KernelCase[] => [
      { kernel: 'Cumsum', inputs: [MATRIX], fn: (x) => tf.cumsum(x!, 1, exclusive, reverse) },
      { kernel: 'Cumsum', inputs: [WHOLE], fn: (x) => tf.cumsum(x!, 0, exclusive, reverse) },
      { kernel: 'Cumprod', inputs: [SMALL], fn: (x) => tf.cumprod(x!, 1, exclusive, reverse) },
    ]),
  ),
  { kernel: 'Softmax', inputs: [MATRIX], fn: (x) => tf.softmax(x!) },
  { kernel: 'Softmax', inputs: [CUBE], fn: (x) => tf.softmax(x!, -1) },
  {
    kernel: 'TopK',
    inputs: [MATRIX],
    fn: (x) => {
      const { values, indices } = tf.topk(x!, 2);
      return [values, indices];
    },
  },

  { kernel: 'Tile', inputs: [f([2, 1], [1, 2])], fn: (x) => tf.broadcastTo(x!, [3, 2, 2]) },
  { kernel: 'Concat', inputs: [CUBE, CUBE], fn: (x, y) => tf.concat([x!, y!], 2) },
  { kernel: 'Diag', inputs: [f([3], [1, 2, 3])], fn: (x) => tf.diag(x!) },
  { kernel: 'Diag', inputs: [f([2, 2], [1, 2, 3, 4])], fn: (x) => tf.diag(x!) },
  { kernel: 'ExpandDims', inputs: [MATRIX], fn: (x) => tf.expandDims(x!, -1) },
  { kernel: 'Fill', inputs: [MATRIX], fn: (x) => [x!, tf.fill([2, 2], 7), tf.fill([3], 2, 'int32')] },
  { kernel: 'LinSpace', inputs: [MATRIX], fn: (x) => [x!, tf.linspace(0, 1, 5), tf.linspace(-3, 9, 40)] },
  {
    kernel: 'MirrorPad',
    inputs: [MATRIX],
    fn: (x) =>
      tf.mirrorPad(
        x!,
        [
          [1, 2],
          [3, 0],
        ],
        'reflect',
      ),
  },
  {
    kernel: 'MirrorPad',
    inputs: [MATRIX],
    fn: (x) =>
      tf.mirrorPad(
        x!,
        [
          [1, 2],
          [0, 4],
        ],
        'symmetric',
      ),
  },
  { kernel: 'Pack', inputs: [MATRIX, MATRIX], fn: (x, y) => tf.stack([x!, y!], 2) },
  {
    kernel: 'PadV2',
    inputs: [MATRIX],
    fn: (x) =>
      tf.pad(
        x!,
        [
          [1, 0],
          [2, 1],
        ],
        -1,
      ),
  },
  {
    kernel: 'Range',
    inputs: [MATRIX],
    fn: (x) => [
      x!,
      tf.range(0, 50),
      tf.range(3, 100, 4, 'int32'),
      tf.range(1, 0, -0.25),
      tf.range(0, 20, 0.5),
    ],
  },
  { kernel: 'Reshape', inputs: [MATRIX], fn: (x) => tf.reshape(x!, [2, -1]) },
  { kernel: 'Reverse', inputs: [CUBE], fn: (x) => tf.reverse(x!, [0, 2]) },
  { kernel: 'Slice', inputs: [MATRIX], fn: (x) => tf.slice(x!, [1, 1], [2, -1]) },
  { kernel: 'SplitV', inputs: [MATRIX], fn: (x) => tf.split(x!, [1, 3], 1) },
  { kernel: 'SplitV', inputs: [MATRIX], fn: (x) => tf.split(x!, [1, -1], 0) },
  { kernel: 'StridedSlice', inputs: [MATRIX], fn: (x) => tf.stridedSlice(x!, [0, 1], [3, 4], [2, 2]) },
  { kernel: 'StridedSlice', inputs: [MATRIX], fn: (x) => tf.stridedSlice(x!, [2, 3], [0, 0], [-1, -2]) },
  {
    kernel: 'StridedSlice',
    inputs: [MATRIX],
    fn: (x) => tf.stridedSlice(x!, [1, 0], [2, 4], [1, 1], 0, 0, 0, 0, 1),
  },
  { kernel: 'Tile', inputs: [MATRIX], fn: (x) => tf.tile(x!, [2, 3]) },
  { kernel: 'Tile', inputs: [f([1, 3], [1, 2, 3])], fn: (x) => tf.tile(x!, [4, 1]) },
  { kernel: 'Transpose', inputs: [CUBE], fn: (x) => tf.transpose(x!, [1, 2, 0]) },
  { kernel: 'Unpack', inputs: [CUBE], fn: (x) => tf.unstack(x!, 1) },

  {
    kernel: 'GatherV2',
    inputs: [MATRIX, i([2, 2], [2, 0, 1, 2])],
    fn: (x, y) => tf.gather(x!, y as tf.Tensor1D, 0),
  },
  { kernel: 'GatherV2', inputs: [MATRIX, i([], [2])], fn: (x, y) => tf.gather(x!, y as tf.Tensor1D, 1) },
  {
    kernel: 'GatherV2',
    inputs: [CUBE, i([2, 3], [1, 0, 2, 2, 2, 0])],
    fn: (x, y) => tf.gather(x!, y as tf.Tensor1D, 1, 1),
  },
  { kernel: 'GatherNd', inputs: [MATRIX, i([3, 2], [2, 3, 0, 0, 1, 2])], fn: (x, y) => tf.gatherND(x!, y!) },
  { kernel: 'GatherNd', inputs: [CUBE, i([2, 1], [1, 0])], fn: (x, y) => tf.gatherND(x!, y!) },
  { kernel: 'OneHot', inputs: [i([2, 2], [0, 3, 1, 7])], fn: (x) => tf.oneHot(x!, 4) },
  { kernel: 'OneHot', inputs: [i([3], [0, 2, 1])], fn: (x) => tf.oneHot(x!, 3, 5, -1, 'float32') },
  {
    kernel: 'ScatterNd',
    inputs: [i([3, 1], [4, 1, 4]), f([3], [9, 10, 11])],
    fn: (x, y) => tf.scatterND(x!, y!, [6]),
  },
  {
    kernel: 'TensorScatterUpdate',
    inputs: [MATRIX, i([2, 1], [2, 0]), f([2, 4], [1, 2, 3, 4, 5, 6, 7, 8])],
    fn: (x, y, z) => tf.tensorScatterUpdate(x!, y!, z!),
  },
  {
    kernel: 'UnsortedSegmentSum',
    inputs: [MATRIX, i([3], [1, 0, 1])],
    fn: (x, y) => tf.unsortedSegmentSum(x!, y as tf.Tensor1D, 3),
  },
];
