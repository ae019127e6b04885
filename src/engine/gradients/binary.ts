import {
  add,
  cast,
  clone,
  div,
  floor,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  mul,
  neg,
  onesLike,
  pow,
  square,
  sub,
  type Tensor,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { register, registerFlat, sumToShape } from './shared.js';

const float = (x: Tensor): Tensor => cast(x, 'float32');

type Derivative = (dy: Tensor, a: Tensor, b: Tensor) => Tensor;

/** Gradients of both inputs, before broadcasting is undone. Where a maximum is tied, `a` takes all. */
const elementwise: Record<string, [Derivative, Derivative]> = {
  Add: [(dy) => dy, (dy) => dy],
  Sub: [(dy) => dy, (dy) => neg(dy)],
  Multiply: [(dy, _a, b) => mul(dy, float(b)), (dy, a) => mul(dy, float(a))],
  RealDiv: [(dy, _a, b) => div(dy, float(b)), (dy, a, b) => neg(div(mul(dy, float(a)), square(float(b))))],
  Maximum: [(dy, a, b) => mul(dy, float(greaterEqual(a, b))), (dy, a, b) => mul(dy, float(less(a, b)))],
  Minimum: [(dy, a, b) => mul(dy, float(lessEqual(a, b))), (dy, a, b) => mul(dy, float(greater(a, b)))],
  SquaredDifference: [(dy, a, b) => mul(dy, mul(sub(a, b), 2)), (dy, a, b) => mul(dy, mul(sub(b, a), 2))],
  Atan2: [
    (dy, a, b) => mul(dy, div(b, add(square(a), square(b)))),
    (dy, a, b) => neg(mul(dy, div(a, add(square(a), square(b))))),
  ],
  Mod: [(dy) => dy, (dy, a, b) => neg(mul(dy, floor(div(a, b))))],
};

export function registerBinaryGradients(): void {
  for (const [name, [ofA, ofB]] of Object.entries(elementwise)) {
    register(name, { inputsToSave: ['a', 'b'] }, (dy, [a, b]) => ({
      a: () => sumToShape(ofA(dy, a!, b!), a!.shape),
      b: () => sumToShape(ofB(dy, a!, b!), b!.shape),
    }));
  }
  register('Pow', { inputsToSave: ['a', 'b'], outputsToSave: [true] }, (dy, [a, b, y]) => ({
    a: () => sumToShape(mul(dy, mul(float(b!), pow(a!, sub(b!, 1)))), a!.shape),
    b: () => {
      // ln a counts only where a > 0; elsewhere it would put NaN into a sum of gradients.
      const positive = greater(a!, 0);
      const logarithm = log(where(positive, a!, onesLike(a!)));
      return sumToShape(mul(dy, mul(y!, where(positive, logarithm, zerosLike(a!)))), b!.shape);
    },
  }));
  register('Prelu', { inputsToSave: ['x', 'alpha'] }, (dy, [x, alpha]) => ({
    x: () => where(greater(x!, 0), dy, mul(dy, alpha!)),
    alpha: () => sumToShape(where(greater(x!, 0), zerosLike(dy), mul(dy, x!)), alpha!.shape),
  }));
  registerFlat(
    [
      'FloorDiv',
      'Equal',
      'NotEqual',
      'Greater',
      'GreaterEqual',
      'Less',
      'LessEqual',
      'LogicalAnd',
      'LogicalOr',
    ],
    ['a', 'b'],
  );
  registerSelections();
}

function registerSelections(): void {
  register('Select', { inputsToSave: ['condition'] }, (dy, [condition]) => ({
    condition: () => zerosLike(float(condition!)),
    t: () => where(condition!, dy, zerosLike(dy)),
    e: () => where(condition!, zerosLike(dy), dy),
  }));
  register('AddN', { saveAllInputs: true }, (dy, inputs) =>
    Object.fromEntries(inputs.map((_, i) => [String(i), () => clone(dy)])),
  );
}
