import { describe, expect, it } from 'vitest';
import type { CurvePoint } from '../../src/sparsity/curve-point.js';
import { CETT_GRID, searchPerplexity, upCrossings } from '../../src/sparsity/perplexity-search.js';
import { generator } from './reference.js';

/** A search on a known curve; `calibration` is what the grid sees, `all` what the passes see. */
async function search(
  all: (c: number) => number,
  bound: number,
  {
    calibration = all,
    sample,
    tolerance = 1e-4,
    known = [],
  }: {
    calibration?: (c: number) => number;
    sample?: (c: number) => number;
    tolerance?: number;
    known?: CurvePoint[];
  } = {},
) {
  let passes = 0;
  const answer = await searchPerplexity(
    {
      grid: CETT_GRID.map((cett) => ({ cett, logRatio: calibration(cett) })),
      known,
      sample: sample && (async (cett) => ({ logRatio: sample(cett), error: 0.08 * sample(cett) })),
      evaluate: async (cett) => {
        passes++;
        return all(cett);
      },
    },
    bound,
    tolerance,
  );
  return { ...answer, passes };
}

const onePercent = Math.log(1.01);

describe('searchPerplexity', () => {
  it('ends just below the crossing of a smooth curve, in few passes', async () => {
    const curve = (c: number) => 2 * c ** 2.3;
    const root = (onePercent / 2) ** (1 / 2.3);
    const { cett, status, passes } = await search(curve, onePercent);
    expect(status).toBe('ok');
    expect(cett).toBeLessThanOrEqual(root);
    expect(root - cett).toBeLessThanOrEqual(1e-4);
    expect(passes).toBeLessThanOrEqual(4);
  });

  it('finds the crossing of all tokens when the calibration tokens mislead the grid', async () => {
    for (const factor of [0.2, 0.8, 1.3, 6]) {
      const curve = (c: number) => 2 * c ** 2;
      const root = Math.sqrt(onePercent / 2);
      const { cett, passes } = await search(curve, onePercent, { calibration: (c) => factor * curve(c) });
      expect(root - cett).toBeGreaterThanOrEqual(0);
      expect(root - cett).toBeLessThanOrEqual(1e-4);
      expect(passes).toBeLessThanOrEqual(9);
    }
  });

  it('takes the first of several crossings and reports the others', async () => {
    const curve = (c: number) => 0.03 * Math.sin(7 * c) + 0.05 * c ** 8;
    const answer = await search(curve, onePercent);
    const first = Math.asin(onePercent / 0.03) / 7;
    expect(Math.abs(answer.cett - first)).toBeLessThan(2e-4);
    expect(answer.crossings[0]).toBe(answer.cett);
    expect(answer.crossings.length).toBe(2);
    expect(answer.crossings[1]).toBeGreaterThan(0.75);
  });

  it('is not led astray by the jumps of a small text', async () => {
    // A power law with steps of 4 % of the bound, as single neurons make them on few tokens.
    const noise = (c: number) => 0.0004 * Math.sin(4e4 * c * c);
    const curve = (c: number) => 9.5 * c ** 2.55 + noise(c);
    const { cett, passes } = await search(curve, onePercent);
    expect(Math.abs(cett - (onePercent / 9.5) ** (1 / 2.55))).toBeLessThan(2e-3);
    expect(curve(cett)).toBeLessThanOrEqual(onePercent);
    expect(passes).toBeLessThanOrEqual(8);
  });

  it('needs few passes where a sample corrects the grid and the curve is smooth', async () => {
    const curve = (c: number) => 2 * c ** 2.3 + 0.3 * c ** 4;
    const { cett, passes } = await search(curve, onePercent, {
      calibration: (c) => 1.1 * curve(c),
      sample: (c) => 1.02 * curve(c),
    });
    expect(curve(cett)).toBeLessThanOrEqual(onePercent);
    expect(curve(cett + 1e-4)).toBeGreaterThan(onePercent);
    expect(passes).toBeLessThanOrEqual(4);
  });

  it('needs about three passes on rough curves, and ends within the tolerance and the roughness of the crossing', async () => {
    const normal = (random: () => number) =>
      Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    // Curves as they were met on trained models: exponent, crossing; roughness of bfloat16 is 1e-5 to 2e-5.
    for (const [exponent, root] of [
      [1.55, 0.062],
      [2.5, 0.12],
      [3.5, 0.21],
    ] as const) {
      for (const [roughness, most] of [
        [0, 3.1],
        [1e-5, 3.6],
        [2e-5, 4],
      ] as const) {
        let passes = 0;
        const cases = 60;
        for (let seed = 0; seed < cases; seed++) {
          const random = generator(seed);
          const smooth = (c: number) => onePercent * (c / root) ** exponent;
          const seen = new Map<number, number>();
          const curve = (c: number) => {
            if (!seen.has(c)) seen.set(c, smooth(c) + roughness * normal(random));
            return seen.get(c)!;
          };
          const [level, tilt] = [1 + 0.1 * normal(random), 0.2 * normal(random)];
          const few = 1 + 0.02 * normal(random);
          const answer = await search(curve, onePercent, {
            calibration: (c) => level * onePercent * (c / root) ** (exponent * (1 + tilt)),
            sample: (c) => few * smooth(c),
          });
          passes += answer.passes;
          expect(curve(answer.cett)).toBeLessThanOrEqual(onePercent);
          const slope = (exponent * onePercent) / root;
          expect(Math.abs(answer.cett - root)).toBeLessThanOrEqual(1.1e-4 + (4 * roughness) / slope);
        }
        expect(passes / cases).toBeLessThanOrEqual(most);
      }
    }
  });

  it('is not content with a value far below the bound because others make the law cross below it', async () => {
    // Rough by a hundredth of the bound, as on a text of few tokens, with a grid that hardly rises.
    const curve = (c: number) => 0.6 * c ** 2 + 1e-4 * Math.sin(3e4 * c);
    const { cett } = await search(curve, onePercent, {
      calibration: (c) => (c < 0.1 || c > 0.16 ? 0.6 * c ** 2 : 0.009),
    });
    expect(curve(cett)).toBeLessThanOrEqual(onePercent);
    expect(Math.abs(cett - Math.sqrt(onePercent / 0.6))).toBeLessThan(1.5e-3);
  });

  it('passes values by that a part of the tokens rejects, and measures its answer on all of them', async () => {
    const curve = (c: number) => 2 * c ** 2.3;
    const whole = new Set<number>();
    const known: CurvePoint[] = [];
    const evaluate = async (cett: number) => {
      whole.add(cett);
      return curve(cett);
    };
    // What is off by at most 1e-5 tells the side of everything but the crossing itself.
    const judge = async (cett: number, bound: number) =>
      Math.abs(curve(cett) - bound) > 2e-5
        ? { logRatio: curve(cett) + 1e-5 * Math.sin(1e6 * cett), error: 1e-5 }
        : { logRatio: await evaluate(cett), error: 0 };
    const grid = CETT_GRID.map((cett) => ({ cett, logRatio: 1.2 * curve(cett) }));
    for (const p of [1, 5, 1.05]) {
      whole.clear();
      const bound = Math.log1p(p / 100);
      const { cett } = await searchPerplexity({ grid, known, evaluate, judge }, bound, 1e-4);
      expect(whole).toContain(cett);
      expect(whole.size).toBeLessThanOrEqual(2);
      const root = (bound / 2) ** (1 / 2.3);
      expect(root - cett).toBeGreaterThanOrEqual(0);
      expect(root - cett).toBeLessThanOrEqual(1e-4);
    }
  });

  it('does not answer with a value that a part of the tokens misjudged', async () => {
    const curve = (c: number) => 2 * c ** 2.3;
    // One value in three is judged too low by more than its error.
    let calls = 0;
    const judge = async (cett: number, bound: number) => {
      const wrong = calls++ % 3 === 0 && curve(cett) > bound && curve(cett) < bound + 1e-3;
      return { logRatio: wrong ? bound - 2e-5 : curve(cett), error: wrong ? 1e-5 : 0 };
    };
    const { cett } = await searchPerplexity(
      {
        grid: CETT_GRID.map((at) => ({ cett: at, logRatio: 0.97 * curve(at) })),
        known: [],
        evaluate: async (at) => curve(at),
        judge,
      },
      onePercent,
      1e-4,
    );
    expect(curve(cett)).toBeLessThanOrEqual(onePercent);
    expect((onePercent / 2) ** (1 / 2.3) - cett).toBeLessThanOrEqual(1e-4);
  });

  it('finds the end of a flat stretch by bisection', async () => {
    const jump = 0.2371;
    const flat = (c: number) => (c < jump ? 0.004 : 0.5);
    const { cett, passes } = await search(flat, onePercent);
    expect(jump - cett).toBeGreaterThan(0);
    expect(jump - cett).toBeLessThanOrEqual(1e-4);
    expect(passes).toBeLessThan(25);
  });

  it('crosses a stretch where perplexity falls below the dense one', async () => {
    const curve = (c: number) => c * (c - 0.3);
    const root = (0.3 + Math.sqrt(0.09 + 4 * onePercent)) / 2;
    const { cett } = await search(curve, onePercent);
    expect(root - cett).toBeGreaterThanOrEqual(0);
    expect(root - cett).toBeLessThanOrEqual(1e-4);
  });

  it('reports at-bound when nothing breaks the bound, and when everything does', async () => {
    expect(await search(() => 0.001, onePercent)).toMatchObject({
      cett: 1,
      status: 'at-bound',
      crossings: [],
    });
    expect(await search(() => 0.5, onePercent)).toMatchObject({ cett: 0, status: 'at-bound' });
  });

  it('reuses what earlier p measured', async () => {
    const curve = (c: number) => 2 * c ** 2;
    const known: CurvePoint[] = [];
    await search(curve, Math.log(1.05), { known });
    const again = await search(curve, Math.log(1.05), { known });
    expect(again.passes).toBe(0);
    const next = await search(curve, onePercent, { known });
    expect(Math.abs(next.cett - Math.sqrt(onePercent / 2))).toBeLessThanOrEqual(1e-4);
  });

  it('is monotone in p on a monotone curve', async () => {
    const curve = (c: number) => Math.expm1(3 * c) ** 2;
    const known: CurvePoint[] = [];
    let last = 0;
    for (const p of [0.5, 1, 2, 5, 10]) {
      const { cett } = await search(curve, Math.log1p(p / 100), { known });
      expect(cett).toBeGreaterThan(last);
      last = cett;
    }
  });
});

describe('upCrossings', () => {
  it('interpolates between the points on either side', () => {
    const points = [
      { cett: 0, logRatio: 0 },
      { cett: 0.5, logRatio: 1 },
      { cett: 0.6, logRatio: 0.2 },
      { cett: 1, logRatio: 1.2 },
    ];
    expect(upCrossings(points, 0.5)).toEqual([0.25, 0.72]);
  });
});
