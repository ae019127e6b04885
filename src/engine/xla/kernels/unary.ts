import type { DataType } from '@tensorflow/tfjs-core';
import type { Node } from '../graph.js';
import type { UnaryName } from '../operations.js';
import {
  add,
  asFloat,
  asNumber,
  binary,
  compare,
  convert,
  divide,
  multiply,
  negate,
  select,
  splatLike,
  subtract,
  truth,
  unary,
} from '../ops.js';
import { elementOf } from '../types.js';
import { erf } from './erf.js';
import { attribute, type Kernel, type KernelTable, kernelsOf } from './kernel.js';

/** StableHLO's own function; whole numbers become float32 first. */
const direct =
  (op: UnaryName) =>
  (x: Node): Node =>
    unary(op, asFloat(x));
/** The same for functions that whole numbers have too. */
const arithmetic =
  (op: UnaryName) =>
  (x: Node): Node =>
    unary(op, asNumber(x));

const constant = splatLike;
const one = (x: Node): Node => splatLike(x, 1);
const zero = (x: Node): Node => splatLike(x, 0);
const maximum = (x: Node, least: number): Node => binary('maximum', x, splatLike(x, least));

/** SELU's constants (Klambauer et al., arXiv 1706.02515). */
const SELU_SCALE = 1.0507009873554805;
const SELU_SCALE_ALPHA = 1.7580993408473768;

const sine = direct('sine');
const cosine = direct('cosine');
const expm1 = direct('exponential_minus_one');
const log1p = direct('log_plus_one');
const squareRoot = direct('sqrt');
const atan2 = (a: Node, b: Node): Node => binary('atan2', a, b);
const half = (x: Node): Node => multiply(x, constant(x, 0.5));

/** sinh by e^x − 1, which keeps small arguments exact. */
function sinh(x: Node): Node {
  const e = expm1(x);
  return half(add(e, divide(e, add(e, one(e)))));
}

/** asinh(x) = sign(x)·log1p(|x| + x²/(1 + √(x² + 1))) */
function asinh(input: Node): Node {
  const x = asFloat(input);
  const size = unary('abs', x);
  const square = multiply(x, x);
  const root = squareRoot(add(square, one(x)));
  return multiply(unary('sign', x), log1p(add(size, divide(square, add(root, one(x))))));
}

function acosh(input: Node): Node {
  const x = asFloat(input);
  const root = squareRoot(multiply(subtract(x, one(x)), add(x, one(x))));
  return unary('log', add(x, root));
}

/** x·(1 − x) under the root, as (1 − x)(1 + x), keeps arguments near ±1 exact. */
const oneMinusSquareRoot = (x: Node): Node => squareRoot(multiply(subtract(one(x), x), add(one(x), x)));

/** log(1 + e^x) without overflow. */
const softplus = (input: Node): Node => {
  const x = asFloat(input);
  return add(maximum(x, 0), log1p(unary('exponential', negate(unary('abs', x)))));
};

const whereAbove = (x: Node, above: Node, below: Node): Node =>
  select(compare('GT', x, zero(x)), above, below);

/** 1 where x > 0, `alpha` elsewhere; also for NaN (which tfjs's cpu backend keeps). */
const step: Kernel = (call) => {
  const x = asFloat(call.inputs.x!);
  return whereAbove(x, one(x), constant(x, attribute<number | undefined>(call, 'alpha') ?? 0));
};

const cast: Kernel = (call) => {
  const x = call.inputs.x!;
  const element = elementOf(attribute<DataType>(call, 'dtype'));
  if (!element) throw new Error(`cast to ${attribute(call, 'dtype')}`);
  return element === 'i1' ? truth(x) : convert(x, element);
};

const clip: Kernel = (call) => {
  const x = call.inputs.x!;
  const low = maximum(x, attribute<number>(call, 'clipValueMin'));
  return binary('minimum', low, constant(x, attribute<number>(call, 'clipValueMax')));
};

export const UNARY_KERNELS: KernelTable = {
  ...kernelsOf({
    Abs: arithmetic('abs'),
    Acos: (x) => atan2(oneMinusSquareRoot(asFloat(x)), asFloat(x)),
    Acosh: acosh,
    Asin: (x) => atan2(asFloat(x), oneMinusSquareRoot(asFloat(x))),
    Asinh: asinh,
    Atan: (x) => atan2(asFloat(x), one(asFloat(x))),
    Atanh: (input) => {
      const x = asFloat(input);
      return half(subtract(log1p(x), log1p(negate(x))));
    },
    Ceil: direct('ceil'),
    // No tfjs op calls it: see computedOnce in src/engine/table.ts.
    ComputedOnce: (x) => unary('optimization_barrier', x),
    Cos: cosine,
    Cosh: (input) => {
      const x = asFloat(input);
      return half(add(unary('exponential', x), unary('exponential', negate(x))));
    },
    Elu: (input) => {
      const x = asFloat(input);
      return whereAbove(x, x, expm1(x));
    },
    Erf: (x) => erf(asFloat(x)),
    Exp: direct('exponential'),
    Expm1: expm1,
    Floor: direct('floor'),
    Identity: (x) => x,
    IsFinite: direct('is_finite'),
    IsInf: (input) => {
      const x = unary('abs', asFloat(input));
      return compare('EQ', x, constant(x, Number.POSITIVE_INFINITY));
    },
    IsNan: (input) => compare('NE', asFloat(input), asFloat(input)),
    Log: direct('log'),
    Log1p: log1p,
    LogicalNot: (x) => unary('not', truth(x)),
    Neg: arithmetic('negate'),
    OnesLike: one,
    Reciprocal: (x) => divide(one(asFloat(x)), asFloat(x)),
    Relu: (x) => maximum(asNumber(x), 0),
    Relu6: (x) => binary('minimum', maximum(asNumber(x), 0), constant(asNumber(x), 6)),
    Round: direct('round_nearest_even'),
    Rsqrt: direct('rsqrt'),
    Selu: (input) => {
      const x = asFloat(input);
      const below = multiply(expm1(x), constant(x, SELU_SCALE_ALPHA));
      return whereAbove(x, multiply(x, constant(x, SELU_SCALE)), below);
    },
    Sigmoid: direct('logistic'),
    Sign: arithmetic('sign'),
    Sin: sine,
    Sinh: (x) => sinh(asFloat(x)),
    Softplus: softplus,
    Sqrt: squareRoot,
    Square: (x) => multiply(asNumber(x), asNumber(x)),
    Tan: (x) => divide(sine(x), cosine(x)),
    Tanh: direct('tanh'),
    ZerosLike: zero,
  }),
  Cast: cast,
  ClipByValue: clip,
  LeakyRelu: (call) => {
    const x = asFloat(call.inputs.x!);
    return whereAbove(x, x, multiply(x, constant(x, attribute<number>(call, 'alpha'))));
  },
  Step: step,
};
