import type { DataType } from '@tensorflow/tfjs-core';

/** Element types of a program's values, named as StableHLO has them; tfjs knows only the first three. */
export type ElementType = 'f32' | 'i32' | 'i1' | 'bf16' | 'u8' | 'u32' | 'u64';

export interface TensorType {
  readonly element: ElementType;
  readonly shape: readonly number[];
}

/** Values of a tensor on the host, row-major; truths are bytes. */
export type HostArray = Float32Array | Int32Array | Uint8Array;

const ELEMENT_OF: Partial<Record<DataType, ElementType>> = { float32: 'f32', int32: 'i32', bool: 'i1' };

/** The element type of a tfjs dtype; undefined for `string` and `complex64`, which programs do not have. */
export const elementOf = (dtype: DataType): ElementType | undefined => ELEMENT_OF[dtype];

/** The tfjs dtype under which a value of an element type appears. */
export function dtypeOf(element: ElementType): 'float32' | 'int32' | 'bool' {
  if (element === 'f32' || element === 'bf16') return 'float32';
  return element === 'i1' ? 'bool' : 'int32';
}

export const isFloat = (element: ElementType): boolean => element === 'f32' || element === 'bf16';

/** Number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

export const sameType = (a: TensorType, b: TensorType): boolean =>
  a.element === b.element && sameShape(a.shape, b.shape);

/** `f32[2,3]`: how messages name a type. */
export const describeType = ({ element, shape }: TensorType): string => `${element}[${shape.join(',')}]`;
