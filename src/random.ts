import { createHash } from 'node:crypto';

/**
 * Random numbers from counters: Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"). The raw bits equal those of StableHLO's `rng_bit_generator` with THREE_FRY on a 1-D result,
 * so a host stream and a device program that share key and counter draw the same numbers.
 */

/** Rotation distances of Threefry-2x32; four rounds use the first row, the next four the second, and so on. */
const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;
/** Key-schedule parity constant of Threefish/Threefry for 32-bit words. */
const PARITY = 0x1bd11bda;
const TWO_32 = 2 ** 32;
const TWO_53 = 2 ** 53;

/** One Threefry-2x32-20 block: encrypts the counter words under the key words, all as unsigned 32-bit. */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  const schedule = [key0 >>> 0, key1 >>> 0, (PARITY ^ key0 ^ key1) >>> 0];
  let x0 = (counter0 + key0) >>> 0;
  let x1 = (counter1 + key1) >>> 0;
  for (let group = 0; group < 5; group++) {
    for (const distance of ROTATIONS[group % 2]!) {
      x0 = (x0 + x1) >>> 0;
      x1 = (((x1 << distance) | (x1 >>> (32 - distance))) ^ x0) >>> 0;
    }
    x0 = (x0 + schedule[(group + 1) % 3]!) >>> 0;
    x1 = (x1 + schedule[(group + 2) % 3]! + group + 1) >>> 0;
  }
  return [x0, x1];
}

/** Everything a stream is: two key words and the number of the next block. Plain JSON. */
export interface RandomState {
  key: [number, number];
  counter: number;
}

/**
 * A stream of random numbers. Each call starts at a fresh block of two words, so what a call returns depends
 * on the state alone, and an odd count leaves one word unused.
 */
export interface RandomStream {
  /** n raw words. */
  uint32(n: number): Uint32Array;
  /** n values in [0, 1), multiples of 2⁻²⁴ (every one exact in float32). */
  uniform(n: number): Float32Array;
  /** n standard normal values (Box–Muller on 32-bit uniforms: |value| < 6.7). */
  normal(n: number): Float32Array;
  /** A whole number in [0, below), unbiased; `below` up to 2⁵³. */
  integer(below: number): number;
  /** The numbers 0 … n−1 in random order (Fisher–Yates). */
  permutation(n: number): Uint32Array;
  state(): RandomState;
}

/** Continues a stream from its state. */
export function restoreStream(state: RandomState): RandomStream {
  const [key0, key1] = state.key;
  let counter = state.counter;
  const block = (): [number, number] => {
    const words = threefry2x32(key0, key1, counter % TWO_32, Math.floor(counter / TWO_32));
    counter += 1;
    return words;
  };
  const integer = (below: number): number => {
    if (!Number.isSafeInteger(below) || below < 1) throw new RangeError(`integer(${below})`);
    // Values past the last whole multiple of `below` would favour the small remainders: draw again.
    const limit = TWO_53 - (TWO_53 % below);
    for (;;) {
      const [high, low] = block();
      const value = (high >>> 5) * 2 ** 26 + (low >>> 6);
      if (value < limit) return value % below;
    }
  };
  return {
    uint32(n) {
      const words = new Uint32Array(n);
      for (let i = 0; i < n; i += 2) [words[i], words[i + 1]] = block() as [number, number];
      return words;
    },
    uniform(n) {
      return Float32Array.from(this.uint32(n), (word) => (word >>> 8) * 2 ** -24);
    },
    normal(n) {
      const values = new Float32Array(n);
      for (let i = 0; i < n; i += 2) {
        const [first, second] = block();
        const radius = Math.sqrt(-2 * Math.log((first + 1) / TWO_32));
        const angle = (2 * Math.PI * second) / TWO_32;
        values[i] = radius * Math.cos(angle);
        if (i + 1 < n) values[i + 1] = radius * Math.sin(angle);
      }
      return values;
    },
    integer,
    permutation(n) {
      const order = Uint32Array.from({ length: n }, (_, i) => i);
      for (let i = n - 1; i > 0; i--) {
        const j = integer(i + 1);
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      return order;
    },
    state: () => ({ key: [key0, key1], counter }),
  };
}

/**
 * The stream of a seed and a name (`init`, `batches`, …): streams of different names are independent, so that
 * adding a use of randomness somewhere never changes the numbers elsewhere.
 */
export function randomStream(seed: number, name: string): RandomStream {
  const digest = createHash('sha256').update(`${seed}\0${name}`).digest();
  return restoreStream({ key: [digest.readUInt32LE(0), digest.readUInt32LE(4)], counter: 0 });
}
