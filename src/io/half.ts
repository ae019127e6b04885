/** bfloat16 bit patterns as float32: the upper half of the same number. */
export function float32FromBfloat16(bits: Uint16Array, out: Float32Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
}

/** float32 as bfloat16 bit patterns, rounded to nearest, ties to even; NaN stays NaN. */
export function bfloat16FromFloat32(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word, i) =>
    Number.isNaN(values[i]) ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
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

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** float32 as IEEE binary16 bit patterns, rounded to nearest, ties to even; too large becomes infinity. */
export function float16FromFloat32(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    float[0] = value;
    const sign = (word[0]! >>> 16) & 0x8000;
    if (Number.isNaN(value)) return sign | 0x7e00;
    const magnitude = Math.abs(value);
    // 65520 is half-way between the largest half, 65504, and the next step.
    if (magnitude >= 65520) return sign | 0x7c00;
    // Adding and subtracting 2^23 · ulp rounds to a multiple of ulp with the hardware's own ties-to-even.
    const ulp = Math.max(2 ** (Math.floor(Math.log2(Math.max(magnitude, 2 ** -24))) - 10), 2 ** -24);
    const units = roundTiesToEven(magnitude / ulp);
    const rounded = units * ulp;
    if (rounded < 2 ** -14) return sign | (rounded * 2 ** 24);
    const exponent = Math.floor(Math.log2(rounded));
    return sign | ((exponent + 15) << 10) | (rounded / 2 ** (exponent - 10) - 1024);
  });
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
