import {
  add,
  concat,
  cos,
  mul,
  neg,
  range,
  reshape,
  sin,
  split,
  sub,
  type Tensor,
  tensor1d,
  tile,
} from '@tensorflow/tfjs-core';
import { fused, isFused } from '../engine/fused.js';
import { computedOnce } from '../engine/table.js';

/** cos and sin of every position's angles, each [1, T, 1, rotated/2]. */
export interface RotaryTables {
  cos: Tensor;
  sin: Tensor;
}

/** θ^(−2i/rotated) for i < rotated/2, in single precision as transformers has them. */
export function inverseFrequencies(theta: number, rotated: number): Float32Array {
  return Float32Array.from({ length: rotated / 2 }, (_, i) => 1 / theta ** ((2 * i) / rotated));
}

/**
 * Tables for positions 0 … T−1, computed on the device so that programs carry no large constants.
 * @param magnitude factor on both tables (foreign checkpoints with stretched contexts)
 */
export function rotaryTables(frequencies: Float32Array, length: number, magnitude = 1): RotaryTables {
  const angles = mul(
    reshape(range(0, length, 1, 'float32'), [1, length, 1, 1]),
    reshape(tensor1d(frequencies), [1, 1, 1, frequencies.length]),
  );
  const scaled = (table: Tensor) => computedOnce(magnitude === 1 ? table : mul(table, magnitude));
  return { cos: scaled(cos(angles)), sin: scaled(sin(angles)) };
}

/** Rotates pairs (i, i + Dh/2) of each head, Llama's layout. x: [B, T, heads, Dh]. */
export function rotate(x: Tensor, tables: RotaryTables): Tensor {
  const [first, second] = split(x, 2, 3) as [Tensor, Tensor];
  return concat(
    [
      sub(mul(first, tables.cos), mul(second, tables.sin)),
      add(mul(second, tables.cos), mul(first, tables.sin)),
    ],
    3,
  );
}

/** Turns [B, T, heads, Dh] by its positions' angles. */
export type Rotation = (x: Tensor) => Tensor;

/** `rotate` with tables that all layers share, in the form that is fast on the current backend. */
export function rotation(tables: RotaryTables): Rotation {
  if (!isFused('RotateHalves')) return (x) => rotate(x, tables);
  const wide = new Map<number, [cos: Tensor, sin: Tensor]>();
  return (x) => {
    const heads = x.shape[2]!;
    const known = wide.get(heads) ?? wideTables(tables, heads);
    wide.set(heads, known);
    return fused('RotateHalves', [x, ...known])!;
  };
}

/** [1, T, heads, Dh]: x·cos + (x with its halves swapped)·sin is the rotation. */
function wideTables({ cos: c, sin: s }: RotaryTables, heads: number): [Tensor, Tensor] {
  const repeated = (halves: Tensor[]) => tile(concat(halves, 3), [1, 1, heads, 1]);
  return [repeated([c, c]), repeated([neg(s), s])];
}
