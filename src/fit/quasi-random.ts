const PRIMES = [2, 3, 5, 7, 11, 13, 17, 19];

/** Van der Corput's sequence: the digits of `index` in `base`, mirrored at the point. */
function mirroredDigits(index: number, base: number): number {
  let result = 0;
  let scale = 1 / base;
  for (let rest = index; rest > 0; rest = Math.floor(rest / base)) {
    result += (rest % base) * scale;
    scale /= base;
  }
  return result;
}

/** Point `index` (from 0) of Halton's sequence in [0, 1)^dimensions: deterministic, and even at any length. */
export function haltonPoint(index: number, dimensions: number): number[] {
  if (dimensions > PRIMES.length) throw new RangeError(`At most ${PRIMES.length} dimensions.`);
  return PRIMES.slice(0, dimensions).map((base) => mirroredDigits(index + 1, base));
}
