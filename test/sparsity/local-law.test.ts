import { describe, expect, it } from 'vitest';
import { crossingFrom, localLaw } from '../../src/sparsity/local-law.js';

const law = (cett: number) => 3 * cett ** 1.6;
const at = (cett: number, share = 1) => ({ cett, logRatio: share * law(cett) });
const bound = law(0.06);

describe('localLaw', () => {
  it('is the curve itself where two values far enough apart tell the exponent', () => {
    const found = localLaw([at(0.055), at(0.066)], bound)!;
    expect(found.exponent).toBeCloseTo(1.6, 2);
    expect(found.crossing).toBeCloseTo(0.06, 4);
    expect(found.least).toBeLessThan(found.exponent);
  });

  it('keeps the exponent thought of beforehand for one value, and for two side by side that roughness turns round', () => {
    const one = localLaw([at(0.058)], bound, 1.7)!;
    expect(one.exponent).toBeCloseTo(1.7, 10);
    expect(one.crossing).toBeCloseTo(crossingFrom(at(0.058), 1.7, bound), 12);
    expect(one.least).toBeCloseTo(0.85, 2);
    const two = localLaw([at(0.0599, 1.001), at(0.06, 0.999)], bound, 1.7)!;
    expect(Math.abs(two.exponent - 1.7)).toBeLessThan(0.4);
    expect(two.crossing).toBeCloseTo(0.06, 4);
  });

  it('trusts values less that were seen on few tokens or lie far off', () => {
    const near = [at(0.058), at(0.063)];
    const poor = { ...at(0.061, 1.1), error: 0.4 * law(0.061) };
    const far = at(0.4, 2);
    expect(localLaw([...near, poor, far], bound)!.crossing).toBeCloseTo(0.06, 4);
    expect(localLaw([...near, { ...poor, error: 0 }], bound)!.crossing).toBeLessThan(0.0597);
  });

  it('leaves out what is not positive, and never falls', () => {
    expect(
      localLaw(
        [
          { cett: 0, logRatio: 0 },
          { cett: 0.1, logRatio: -1 },
        ],
        bound,
      ),
    ).toBeUndefined();
    const falling = localLaw([at(0.05, 1.5), at(0.07, 0.5)], bound, 1.6)!;
    expect(falling.exponent).toBeGreaterThan(0);
    expect(falling.least).toBeGreaterThan(0);
  });
});
