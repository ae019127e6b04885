import { engineError } from '../../errors.js';
import { describeType, type HostArray, sizeOf, type TensorType } from './types.js';

/**
 * How a tensor lies on the devices of an engine: each has an equal part along the axis `split`, or, where that is
 * undefined, each has the whole.
 */
export type Split = number | undefined;

/** `axis` counted from the front; negative ones are counted from the end. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** What one of `devices` holds. @throws SparselawError (status 4) where the axis cannot be cut so */
export function partOf(type: TensorType, split: Split, devices: number): TensorType {
  if (split === undefined || devices === 1) return type;
  const length = type.shape[split];
  if (length === undefined || length % devices !== 0) {
    throw engineError(
      `Axis ${split} of ${describeType(type)} cannot be cut into equal parts for ${devices} devices.`,
      { code: 'uneven-split', suggestions: [`Use a length that is a multiple of ${devices}.`] },
    );
  }
  return { ...type, shape: type.shape.map((n, i) => (i === split ? n / devices : n)) };
}

/** The whole of which `part` is one device's share. */
export const wholeOf = (part: TensorType, split: Split, devices: number): TensorType =>
  split === undefined ? part : { ...part, shape: part.shape.map((n, i) => (i === split ? n * devices : n)) };

/** Row-major values as blocks that lie together along `axis`: how many blocks, and elements an index step of it. */
function strides(shape: readonly number[], axis: number) {
  return { blocks: sizeOf(shape.slice(0, axis)), stride: sizeOf(shape.slice(axis + 1)) };
}

/** Values of a whole tensor, row-major, as those of its `count` equal parts along `axis`. */
export function cutValues(
  values: HostArray,
  shape: readonly number[],
  axis: number,
  count: number,
): HostArray[] {
  const { blocks, stride } = strides(shape, axis);
  const run = (shape[axis]! / count) * stride;
  return Array.from({ length: count }, (_, part) => {
    // Parts of the leading axis lie together already.
    if (blocks === 1) return values.subarray(part * run, (part + 1) * run);
    const own = new (values.constructor as new (length: number) => HostArray)(blocks * run);
    for (let block = 0; block < blocks; block++) {
      const from = (block * count + part) * run;
      own.set(values.subarray(from, from + run), block * run);
    }
    return own;
  });
}

/** The inverse of `cutValues`. @param shape of the whole */
export function joinValues(parts: readonly HostArray[], shape: readonly number[], axis: number): HostArray {
  const { blocks, stride } = strides(shape, axis);
  const run = (shape[axis]! / parts.length) * stride;
  const first = parts[0]!;
  const whole = new (first.constructor as new (length: number) => HostArray)(sizeOf(shape));
  parts.forEach((values, part) => {
    for (let block = 0; block < blocks; block++) {
      whole.set(values.subarray(block * run, (block + 1) * run), (block * parts.length + part) * run);
    }
  });
  return whole;
}
