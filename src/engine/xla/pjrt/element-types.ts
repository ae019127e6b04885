import { engineError } from '../../../errors.js';
import type { ElementType, HostValues } from './types.js';

type HostArray = {
  new (buffer: ArrayBuffer): HostValues;
};

interface ElementLayout {
  /** `PJRT_Buffer_Type`. */
  readonly code: number;
  readonly bytes: number;
  readonly array: HostArray;
}

/** How each element type is written on the host and what the plugin calls it. */
export const ELEMENT_TYPES: Readonly<Record<ElementType, ElementLayout>> = {
  i1: { code: 1, bytes: 1, array: Uint8Array },
  i32: { code: 4, bytes: 4, array: Int32Array },
  i64: { code: 5, bytes: 8, array: BigInt64Array },
  u8: { code: 6, bytes: 1, array: Uint8Array },
  u32: { code: 8, bytes: 4, array: Uint32Array },
  u64: { code: 9, bytes: 8, array: BigUint64Array },
  f32: { code: 11, bytes: 4, array: Float32Array },
  f64: { code: 12, bytes: 8, array: Float64Array },
  bf16: { code: 13, bytes: 2, array: Uint16Array },
};

const nameByCode = new Map(
  Object.entries(ELEMENT_TYPES).map(([name, { code }]) => [code, name as ElementType]),
);

/** The element type with a `PJRT_Buffer_Type` code, or undefined for one this runtime does not carry. */
export const elementTypeOf = (code: number): ElementType | undefined => nameByCode.get(code);

/** More than tfjs knows. */
export const MOST_AXES = 16;

export const elementCount = (shape: readonly number[]): number =>
  shape.reduce((count, extent) => count * extent, 1);

export const byteLengthOf = (elementType: ElementType, shape: readonly number[]): number =>
  elementCount(shape) * ELEMENT_TYPES[elementType].bytes;

/** `f32[2,3]`, as XLA prints it. */
export const describeSpec = (elementType: string, shape: readonly number[]): string =>
  `${elementType}[${shape.join(',')}]`;

export function hostArray(elementType: ElementType, shape: readonly number[]): HostValues {
  return new ELEMENT_TYPES[elementType].array(new ArrayBuffer(byteLengthOf(elementType, shape)));
}

/** Checks that host values are what they are said to be. @throws SparselawError (status 4) */
export function checkValues(values: HostValues, elementType: ElementType, shape: readonly number[]): void {
  const { array } = ELEMENT_TYPES[elementType];
  if (!(values instanceof array)) {
    throw engineError(`Values for ${describeSpec(elementType, shape)} must be a ${array.name}.`, {
      code: 'bad-values',
    });
  }
  if (shape.length > MOST_AXES || shape.some((extent) => !Number.isSafeInteger(extent) || extent < 0)) {
    throw engineError(
      `[${shape.join(',')}] is no shape: at most ${MOST_AXES} extents, whole numbers from 0.`,
      { code: 'bad-shape' },
    );
  }
  if (values.length !== elementCount(shape)) {
    throw engineError(
      `${describeSpec(elementType, shape)} holds ${elementCount(shape)} values, but ${values.length} were given.`,
      { code: 'bad-shape' },
    );
  }
}
