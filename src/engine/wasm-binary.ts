import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { backend_util, type TensorInfo, util } from '@tensorflow/tfjs-core';

/** The operations that `combine` does, each with the dtype of operands that it is mostly asked for. */
const OPERAND_DTYPE = {
  Add: 'float32',
  Sub: 'float32',
  Multiply: 'float32',
  RealDiv: 'float32',
  Greater: 'float32',
  GreaterEqual: 'float32',
  Equal: 'int32',
} as const;
export type BinaryName = keyof typeof OPERAND_DTYPE;
export const BINARY_NAMES = Object.keys(OPERAND_DTYPE) as BinaryName[];
const COMPARISONS: ReadonlySet<BinaryName> = new Set(['Greater', 'GreaterEqual', 'Equal']);
/** `Copy` gives the first operand, repeated wherever the second one's shape is longer. */
type LoopName = BinaryName | 'Copy';

/** Whether `combine` handles these operands: of the usual dtype, and not empty. */
export function isCombination(name: BinaryName, a: TensorInfo, b: TensorInfo): boolean {
  const dtype = OPERAND_DTYPE[name];
  return (
    a.dtype === dtype && b.dtype === dtype && util.sizeFromShape(a.shape) * util.sizeFromShape(b.shape) > 0
  );
}

/** a ∘ b with broadcasting. */
export function combine(name: BinaryName, a: TensorInfo, b: TensorInfo, backend: BackendWasm): TensorInfo {
  const shape = backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const out = backend.makeOutput(shape, COMPARISONS.has(name) ? 'bool' : 'float32');
  // Views are taken after the allocation: growing wasm's memory detaches older ones.
  const [x, y, z] = [a, b, out].map((t) => backend.typedArrayFromHeap(t) as Float32Array);
  runLoops(name, mergedAxes(shape, a.shape, b.shape), x!, y!, z!);
  return out;
}

/** Whether tiling repeats only axes of size 1, which is broadcasting. */
export const isBroadcast = (x: TensorInfo, reps: readonly number[]): boolean =>
  x.dtype === 'float32' && reps.every((rep, axis) => rep === 1 || (rep > 0 && x.shape[axis] === 1));

/** x repeated along its axes of size 1. */
export function broadcast(x: TensorInfo, reps: readonly number[], backend: BackendWasm): TensorInfo {
  const shape = x.shape.map((size, axis) => size * reps[axis]!);
  const out = backend.makeOutput(shape, 'float32');
  const [from, to] = [x, out].map((t) => backend.typedArrayFromHeap(t) as Float32Array);
  if (util.sizeFromShape(shape) > 0) runLoops('Copy', mergedAxes(shape, x.shape, x.shape), from!, from!, to!);
  return out;
}

/** One loop of a broadcast operation: its length and how far each operand moves a step (0: it is repeated). */
interface Axis {
  size: number;
  aStep: number;
  bStep: number;
}

/** Outermost first; neighbouring axes over which both operands walk evenly become one. */
function mergedAxes(shape: readonly number[], aShape: readonly number[], bShape: readonly number[]): Axis[] {
  const axes: Axis[] = [];
  let [aStride, bStride] = [1, 1];
  for (let i = 1; i <= shape.length; i++) {
    const size = shape.at(-i)!;
    const aSize = aShape.at(-i) ?? 1;
    const bSize = bShape.at(-i) ?? 1;
    const aStep = aSize === 1 ? 0 : aStride;
    const bStep = bSize === 1 ? 0 : bStride;
    aStride *= aSize;
    bStride *= bSize;
    if (size === 1) continue;
    const inner = axes[0];
    if (inner && aStep === inner.aStep * inner.size && bStep === inner.bStep * inner.size) inner.size *= size;
    else axes.unshift({ size, aStep, bStep });
  }
  return axes.length > 0 ? axes : [{ size: 1, aStep: 0, bStep: 0 }];
}

/** Walks the outer axes like an odometer and runs the innermost as one loop. */
function runLoops(
  name: LoopName,
  axes: readonly Axis[],
  x: Float32Array,
  y: Float32Array,
  z: Float32Array,
): void {
  const innermost = axes.at(-1)!;
  const rows = axes.slice(0, -1);
  const index = rows.map(() => 0);
  let [at, ao, bo] = [0, 0, 0];
  for (;;) {
    runRow(name, x, ao, y, bo, z, at, innermost);
    at += innermost.size;
    let axis = rows.length - 1;
    for (; axis >= 0; axis--) {
      const { size, aStep, bStep } = rows[axis]!;
      ao += aStep;
      bo += bStep;
      if (++index[axis]! < size) break;
      index[axis] = 0;
      ao -= aStep * size;
      bo -= bStep * size;
    }
    if (axis < 0) return;
  }
}

/** One loop for each operation, so that each compiles to straight arithmetic. */
function runRow(
  name: LoopName,
  x: Float32Array,
  ao: number,
  y: Float32Array,
  bo: number,
  z: Float32Array,
  at: number,
  { size, aStep, bStep }: Axis,
): void {
  switch (name) {
    case 'Add':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep]! + y[bo + i * bStep]!;
      return;
    case 'Sub':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep]! - y[bo + i * bStep]!;
      return;
    case 'Multiply':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep]! * y[bo + i * bStep]!;
      return;
    case 'RealDiv':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep]! / y[bo + i * bStep]!;
      return;
    case 'Greater':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep]! > y[bo + i * bStep]! ? 1 : 0;
      return;
    case 'GreaterEqual':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep]! >= y[bo + i * bStep]! ? 1 : 0;
      return;
    case 'Equal':
      for (let i = 0; i < size; i++) z[at + i] = x[ao + i * aStep] === y[bo + i * bStep] ? 1 : 0;
      return;
    case 'Copy':
      if (aStep === 0) z.fill(x[ao]!, at, at + size);
      else z.set(x.subarray(ao, ao + size), at);
  }
}
