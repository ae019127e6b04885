import { describe, expect, it } from 'vitest';
import { randomStream, restoreStream, threefry2x32 } from '../../src/random.js';

describe('threefry2x32', () => {
  // Known answers of Random123 1.09 (`kat_vectors`, lines threefry2x32 20).
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as const)('key %j counter %j', (key, counter, expected) => {
    expect(threefry2x32(key[0], key[1], counter[0], counter[1])).toEqual(expected);
  });
});

describe('a stream', () => {
  // jax 0.10.2: lax.rng_bit_generator(uint32[1234567, 89, 4294967294, 5], (n,), RNG_THREE_FRY); the counter's
  // low word wraps inside the call.
  const state = {
    key: [1234567, 89] as [number, number],
    counter: 4294967294 + 5 * 2 ** 32,
  };
  const jax = [37252986, 4262148444, 714920150, 3224681251, 352447663, 2406969618, 1053123623];

  it.each([6, 7])('draws the bits of rng_bit_generator, n = %i', (n) => {
    const stream = restoreStream(state);
    expect([...stream.uint32(n)]).toEqual(jax.slice(0, n));
    // The generator's own new counter was [1, 6] after 6 words and [2, 6] after 7.
    expect(stream.state().counter).toBe(6 * 2 ** 32 + (n === 6 ? 1 : 2));
  });

  it('continues from its serialised state', () => {
    const stream = randomStream(7, 'a');
    stream.normal(5);
    const restored = restoreStream(JSON.parse(JSON.stringify(stream.state())));
    expect(restored.uint32(4)).toEqual(stream.uint32(4));
  });

  it('differs by seed and by name', () => {
    const bits = (seed: number, name: string) => randomStream(seed, name).uint32(2).join();
    expect(new Set([bits(1, 'a'), bits(2, 'a'), bits(1, 'b'), bits(11, 'a')]).size).toBe(4);
  });

  it('is uniform on [0, 1) and normal with unit variance', () => {
    const n = 100_000;
    const uniform = randomStream(0, 'uniform').uniform(n);
    expect(Math.min(...uniform.subarray(0, 50_000))).toBeGreaterThanOrEqual(0);
    expect(uniform.every((value) => value < 1)).toBe(true);
    const mean = (values: Float32Array, power: number) =>
      values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    // Five standard errors of each moment at this n.
    expect(Math.abs(mean(uniform, 1) - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    const normal = randomStream(0, 'normal').normal(n);
    expect(Math.abs(mean(normal, 1))).toBeLessThan(5 * Math.sqrt(1 / n));
    expect(Math.abs(mean(normal, 2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(mean(normal, 4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
  });

  it('draws integers without bias and permutations of everything', () => {
    const stream = randomStream(3, 'integers');
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 7000; i++) counts[stream.integer(7)]! += 1;
    // χ² with 6 degrees of freedom: 22.5 is the 0.999 quantile.
    expect(counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(22.5);
    const order = stream.permutation(1000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect([...order]).not.toEqual([...order].sort((a, b) => a - b));
    expect(() => stream.integer(0)).toThrow(RangeError);
  });
});
