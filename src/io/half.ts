/**
 * bfloat16 bit patterns as float32: the upper half of the same number. Four at a time, from two words: a value at a
 * time takes twice as long, which is more than a disk takes to give it.
 * @param bits at an even place of their buffer
 */
export function float32FromBfloat16(bits: Uint16Array, out: Float32Array): void {
  const words = new Int32Array(out.buffer, out.byteOffset, out.length);
  const pairs = new Int32Array(bits.buffer, bits.byteOffset, 2 * (bits.length >> 2));
  for (let from = 0, to = 0; from < pairs.length; from += 2, to += 4) {
    const a = pairs[from]!;
    const b = pairs[from + 1]!;
    words[to] = a << 16;
    words[to + 1] = a & UPPER;
    words[to + 2] = b << 16;
    words[to + 3] = b & UPPER;
  }
  for (let i = 2 * pairs.length; i < bits.length; i++) words[i] = bits[i]! << 16;
}

const UPPER = 0xffff0000 | 0;

/** float32 as bfloat16 bit patterns, rounded to nearest, ties to even; NaN stays NaN. */
export function bfloat16FromFloat32(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  // A loop: TypedArray.from with a function gathers its values in a list first.
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = words[i]!;
    bits[i] = Number.isNaN(values[i]) ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

let halfTable: Float32Array | undefined;

/** IEEE binary16 bit patterns as float32. */
export function float32FromFloat16(bits: Uint16Array, out: Float32Array): void {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, pattern) => halfValue(pattern));
  for (let i = 0; i < bits.length; i++) out[i] = halfTable[bits[i]!]!;
}

function halfValue(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >> 10) & 31;
  const fraction = pattern & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

/** float32 as IEEE binary16 bit patterns, rounded to nearest, ties to even; too large becomes infinity. */
export function float16FromFloat32(values: Float32Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halfPattern(values[i]!);
  return bits;
}

function halfPattern(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (Number.isNaN(value)) return 0x7e00;
  const magnitude = Math.abs(value);
  // 65520 is half-way between the largest half, 65504, and the next step.
  if (magnitude >= 65520) return sign | 0x7c00;
  const ulp = Math.max(2 ** (Math.floor(Math.log2(Math.max(magnitude, 2 ** -24))) - 10), 2 ** -24);
  const rounded = roundTiesToEven(magnitude / ulp) * ulp;
  if (rounded < 2 ** -14) return sign | (rounded * 2 ** 24);
  const exponent = Math.floor(Math.log2(rounded));
  return sign | ((exponent + 15) << 10) | (rounded / 2 ** (exponent - 10) - 1024);
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
