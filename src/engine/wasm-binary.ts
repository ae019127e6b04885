import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { backend_util, type TensorInfo, util } from '@tensorflow/tfjs-core';

export type BinaryName = 'Add' | 'Sub' | 'Multiply' | 'RealDiv';

/** Whether `combine` handles these operands: both float32 and not empty. */
export const isCombination = (a: TensorInfo, b: TensorInfo): boolean =>
  a.dtype === 'float32' &&
  b.dtype === 'float32' &&
  util.sizeFromShape(a.shape) > 0 &&
  util.sizeFromShape(b.shape) > 0;

/** One loop of a broadcast operation: its length and how far each operand moves a step (0: it is repeated). */
interface Axis {
  size: number;
  aStep: number;
  bStep: number;
}

/** a ∘ b with broadcasting, in loops over wasm's heap whose innermost runs over as many merged axes as possible. */
export function combine(name: BinaryName, a: TensorInfo, b: TensorInfo, backend: BackendWasm): TensorInfo {
  const shape = backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const out = backend.makeOutput(shape, 'float32');
  // Views are taken after the allocation: growing wasm's memory detaches older ones.
  const [x, y, z] = [a, b, out].map((t) => backend.typedArrayFromHeap(t) as Float32Array) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const axes = mergedAxes(shape, a.shape, b.shape);
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
    if (axis < 0) return out;
  }
}

/** Outermost first; neighbouring axes over which both operands walk evenly become one. */
function mergedAxes(shape: number[], aShape: number[], bShape: number[]): Axis[] {
  const axes: Axis[] = [];
  let [aStride, bStride] = [1, 1];
  for (let i = 1; i <= shape.length; i++) {
    const size = shape.at(-i)!;
    const aSize = aShape.at(-i) ?? 1;
    const bSize = bShape.at(-i) ?? 1;
    if (i > aShape.length && i > bShape.length) break;
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

/** One loop for each operation, so that each compiles to straight arithmetic. */
function runRow(
  name: BinaryName,
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
  }
}
