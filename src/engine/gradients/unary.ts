import {
  add,
  cast,
  clone,
  cos,
  cosh,
  div,
  exp,
  greater,
  greaterEqual,
  lessEqual,
  logicalAnd,
  mul,
  neg,
  onesLike,
  sigmoid,
  sign,
  sin,
  sinh,
  sqrt,
  square,
  step,
  sub,
  type Tensor,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { register, registerFlat, single } from './shared.js';

const float = (x: Tensor): Tensor => cast(x, 'float32');
const oneMinusSquare = (x: Tensor): Tensor => sub(1, square(x));
/** SELU's λ and λα (Klambauer et al., arXiv 1706.02515). */
const SELU_SCALE = 1.0507009873554805;
const SELU_SCALE_ALPHA = 1.7580993408473768;

/** dy and the input → the input's gradient. */
const fromInput: Record<string, (dy: Tensor, x: Tensor) => Tensor> = {
  Abs: (dy, x) => mul(dy, sign(float(x))),
  Acos: (dy, x) => neg(div(dy, sqrt(oneMinusSquare(x)))),
  Acosh: (dy, x) => div(dy, sqrt(sub(square(x), 1))),
  Asin: (dy, x) => div(dy, sqrt(oneMinusSquare(x))),
  Asinh: (dy, x) => div(dy, sqrt(add(square(x), 1))),
  Atan: (dy, x) => div(dy, add(square(x), 1)),
  Atanh: (dy, x) => div(dy, oneMinusSquare(x)),
  Cos: (dy, x) => neg(mul(dy, sin(x))),
  Cosh: (dy, x) => mul(dy, sinh(x)),
  Erf: (dy, x) => mul(mul(dy, exp(neg(square(x)))), 2 / Math.sqrt(Math.PI)),
  Log: (dy, x) => div(dy, x),
  Log1p: (dy, x) => div(dy, add(x, 1)),
  Relu: (dy, x) => single('ReluGradient', dy, x) ?? where(greater(x, 0), dy, zerosLike(dy)),
  Relu6: (dy, x) => mul(dy, mul(float(lessEqual(x, 6)), step(x))),
  Selu: (dy, x) => mul(dy, where(greater(x, 0), mul(onesLike(x), SELU_SCALE), mul(exp(x), SELU_SCALE_ALPHA))),
  Sin: (dy, x) => mul(dy, cos(x)),
  Sinh: (dy, x) => mul(dy, cosh(x)),
  Softplus: (dy, x) => mul(dy, sigmoid(x)),
  Square: (dy, x) => mul(dy, mul(float(x), 2)),
  Tan: (dy, x) => div(dy, square(cos(x))),
};

/** dy and the output → the input's gradient: cheaper where the output holds the derivative. */
const fromOutput: Record<string, (dy: Tensor, y: Tensor) => Tensor> = {
  Elu: (dy, y) => mul(dy, where(greater(y, 0), onesLike(y), add(y, 1))),
  Exp: (dy, y) => mul(dy, y),
  Expm1: (dy, y) => mul(dy, add(y, 1)),
  Reciprocal: (dy, y) => neg(mul(dy, square(y))),
  Rsqrt: (dy, y) => mul(mul(dy, -0.5), mul(y, square(y))),
  Sigmoid: (dy, y) => single('SigmoidGradient', y, dy) ?? mul(dy, mul(y, sub(1, y))),
  Sqrt: (dy, y) => div(mul(dy, 0.5), y),
  Tanh: (dy, y) => mul(dy, oneMinusSquare(y)),
};

export function registerUnaryGradients(): void {
  for (const [name, gradient] of Object.entries(fromInput)) {
    register(name, { inputsToSave: ['x'] }, (dy, [x]) => ({ x: () => gradient(dy, x!) }));
  }
  for (const [name, gradient] of Object.entries(fromOutput)) {
    register(name, { outputsToSave: [true] }, (dy, [y]) => ({ x: () => gradient(dy, y!) }));
  }
  register('Neg', {}, (dy) => ({ x: () => neg(dy) }));
  register('Identity', {}, (dy) => ({ x: () => clone(dy) }));
  register('Cast', {}, (dy) => ({ x: () => float(dy) }));
  register('LeakyRelu', { inputsToSave: ['x'] }, (dy, [x], { alpha }) => ({
    x: () => where(greater(x!, 0), dy, mul(dy, alpha as number)),
  }));
  register('ClipByValue', { inputsToSave: ['x'] }, (dy, [x], { clipValueMin, clipValueMax }) => ({
    x: () => {
      const inside = logicalAnd(
        greaterEqual(x!, clipValueMin as number),
        lessEqual(x!, clipValueMax as number),
      );
      return where(inside, dy, zerosLike(dy));
    },
  }));
  registerFlat(
    [
      'Ceil',
      'Floor',
      'Round',
      'Sign',
      'Step',
      'IsFinite',
      'IsInf',
      'IsNan',
      'LogicalNot',
      'OnesLike',
      'ZerosLike',
    ],
    ['x'],
  );
}
