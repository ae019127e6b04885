import {
  backend_util,
  concat,
  pad,
  registerGradient,
  reshape,
  reverse,
  slice,
  stack,
  sum,
  type Tensor,
  transpose,
  util,
} from '@tensorflow/tfjs-core';
import { register } from './shared.js';

export function registerShapeGradients(): void {
  register('Reshape', { inputsToSave: ['x'] }, (dy, [x]) => ({ x: () => reshape(dy, x!.shape) }));
  register('ExpandDims', { inputsToSave: ['input'] }, (dy, [input]) => ({
    input: () => reshape(dy, input!.shape),
  }));
  register('Transpose', {}, (dy, _saved, { perm }) => ({
    x: () => transpose(dy, backend_util.getUndoAxesPermutation(perm as number[])),
  }));
  register('Reverse', {}, (dy, _saved, { dims }) => ({
    x: () => reverse(dy, util.parseAxisParam(dims as number | number[], dy.shape)),
  }));
  register('Tile', { inputsToSave: ['x'] }, (dy, [x], { reps }) => ({
    x: () => tileGradient(dy, x!.shape, reps as number[]),
  }));
  register('Slice', { inputsToSave: ['x'] }, (dy, [x], attributes) => ({
    x: () => {
      const begin = attributes.begin as number | number[];
      const starts = typeof begin === 'number' ? [begin, ...x!.shape.slice(1).fill(0)] : begin;
      const after = (i: number) => x!.shape[i]! - (starts[i] ?? 0) - dy.shape[i]!;
      return pad(
        dy,
        x!.shape.map((_, i) => [starts[i] ?? 0, after(i)] as [number, number]),
      );
    },
  }));
  register('PadV2', { inputsToSave: ['x'] }, (dy, [x], { paddings }) => ({
    x: () =>
      slice(
        dy,
        (paddings as [number, number][]).map(([before]) => before),
        x!.shape,
      ),
  }));
  registerJoins();
}

function registerJoins(): void {
  register('Concat', { saveAllInputs: true }, (dy, inputs, { axis }) => {
    const along = util.parseAxisParam(axis as number, dy.shape)[0]!;
    let offset = 0;
    return Object.fromEntries(
      inputs.map(({ shape }, i) => {
        const begin = dy.shape.map((_, j) => (j === along ? offset : 0));
        offset += shape[along]!;
        return [String(i), () => slice(dy, begin, shape)];
      }),
    );
  });
  register('Pack', { saveAllInputs: true }, (dy, inputs, { axis }) =>
    Object.fromEntries(
      inputs.map(({ shape }, i) => {
        const begin = dy.shape.map((_, j) => (j === axis ? i : 0));
        const size = dy.shape.map((length, j) => (j === axis ? 1 : length));
        return [String(i), () => reshape(slice(dy, begin, size), shape)];
      }),
    ),
  );
  registerGradient({
    kernelName: 'SplitV',
    gradFunc: (dy, _saved, { axis }) => ({ x: () => concat(dy as Tensor[], axis as number) }),
  });
  registerGradient({
    kernelName: 'Unpack',
    gradFunc: (dy, _saved, { axis }) => ({ value: () => stack(dy as Tensor[], axis as number) }),
  });
}

/** Sums the copies: [r0·n0, r1·n1, …] seen as [r0, n0, r1, n1, …]. */
function tileGradient(dy: Tensor, shape: readonly number[], reps: readonly number[]): Tensor {
  const interleaved = shape.flatMap((length, i) => [reps[i]!, length]);
  const copies = shape.flatMap((_, i) => (reps[i] === 1 ? [] : [2 * i]));
  return reshape(copies.length > 0 ? sum(reshape(dy, interleaved), copies) : dy, [...shape]);
}
