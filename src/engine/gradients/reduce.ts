import {
  backend_util,
  broadcastTo,
  cast,
  cumprod,
  cumsum,
  equal,
  mul,
  reshape,
  sub,
  sum,
  type Tensor,
  transpose,
  util,
} from '@tensorflow/tfjs-core';
import { register, registerFlat } from './shared.js';

const axesOf = (axis: unknown, shape: readonly number[]): number[] =>
  util.parseAxisParam(axis as number | number[], [...shape]);

/** The reduced tensor with length 1 along the reduced axes, so that it broadcasts against the input. */
const withReducedAxes = (reduced: Tensor, shape: readonly number[], axes: readonly number[]): Tensor =>
  reshape(
    reduced,
    shape.map((length, i) => (axes.includes(i) ? 1 : length)),
  );

export function registerReduceGradients(): void {
  register('Sum', { inputsToSave: ['x'] }, (dy, [x], { axis }) => ({
    x: () => broadcastTo(withReducedAxes(dy, x!.shape, axesOf(axis, x!.shape)), x!.shape),
  }));
  register('Mean', { inputsToSave: ['x'] }, (dy, [x], { axis }) => ({
    x: () => {
      const axes = axesOf(axis, x!.shape);
      const count = axes.reduce((product, i) => product * x!.shape[i]!, 1);
      return broadcastTo(withReducedAxes(mul(dy, 1 / count), x!.shape, axes), x!.shape);
    },
  }));
  registerExtreme('Max', 'reductionIndices');
  registerExtreme('Min', 'axis');
  register('Prod', { inputsToSave: ['x'] }, (dy, [x], { axis }) => ({
    x: () => productGradient(dy, x!, axesOf(axis, x!.shape)),
  }));
  register('Cumsum', {}, (dy, _saved, { axis, exclusive, reverse }) => ({
    x: () => cumsum(dy, axis as number, exclusive as boolean, !reverse),
  }));
  register('Softmax', { outputsToSave: [true] }, (dy, [y]) => ({
    logits: () => {
      const weighted = mul(dy, y!);
      return sub(weighted, mul(sum(weighted, -1, true), y!));
    },
  }));
  registerFlat(['All', 'Any', 'ArgMax', 'ArgMin'], ['x']);
}

/** Every element equal to the extreme takes the whole gradient (as tfjs has it). */
function registerExtreme(kernelName: 'Max' | 'Min', axisName: string): void {
  register(kernelName, { inputsToSave: ['x'], outputsToSave: [true] }, (dy, [x, y], attributes) => ({
    x: () => {
      const axes = axesOf(attributes[axisName] ?? attributes.axis, x!.shape);
      const hit = equal(x!, withReducedAxes(y!, x!.shape, axes));
      return mul(withReducedAxes(dy, x!.shape, axes), cast(hit, 'float32'));
    },
  }));
}

/** Π of the others = (product of those before)·(product of those after): right also where an element is 0. */
function productGradient(dy: Tensor, x: Tensor, axes: number[]): Tensor {
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const order = [...kept, ...axes];
  const moved = transpose(x, order);
  const count = axes.reduce((product, i) => product * x.shape[i]!, 1);
  const rows = reshape(moved, [-1, count]);
  const others = mul(cumprod(rows, 1, true, false), cumprod(rows, 1, true, true));
  const gradient = mul(others, reshape(dy, [-1, 1]));
  return transpose(reshape(gradient, moved.shape), backend_util.getUndoAxesPermutation(order));
}
