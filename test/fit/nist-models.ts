import { readFileSync } from 'node:fs';
import type { LeastSquares } from '../../src/fit/problem.js';
import type { LawParameter } from '../../src/laws/law.js';

type Model = (x: readonly number[], b: ArrayLike<number>) => number;

const { atan, cos, exp, PI, sin } = Math;
const b = (values: ArrayLike<number>, i: number) => values[i - 1]!;

const rise: Model = ([x], p) => b(p, 1) * (1 - exp(-b(p, 2) * x!));
const chwirut: Model = ([x], p) => exp(-b(p, 1) * x!) / (b(p, 2) + b(p, 3) * x!);
const gauss: Model = ([x], p) =>
  b(p, 1) * exp(-b(p, 2) * x!) +
  b(p, 3) * exp(-((x! - b(p, 4)) ** 2) / b(p, 5) ** 2) +
  b(p, 6) * exp(-((x! - b(p, 7)) ** 2) / b(p, 8) ** 2);
const lanczos: Model = ([x], p) =>
  b(p, 1) * exp(-b(p, 2) * x!) + b(p, 3) * exp(-b(p, 4) * x!) + b(p, 5) * exp(-b(p, 6) * x!);
const cubicRatio: Model = ([x], p) =>
  (b(p, 1) + b(p, 2) * x! + b(p, 3) * x! ** 2 + b(p, 4) * x! ** 3) /
  (1 + b(p, 5) * x! + b(p, 6) * x! ** 2 + b(p, 7) * x! ** 3);

export const NIST_MODELS: Record<string, Model> = {
  Bennett5: ([x], p) => b(p, 1) * (b(p, 2) + x!) ** (-1 / b(p, 3)),
  BoxBOD: rise,
  Chwirut1: chwirut,
  Chwirut2: chwirut,
  DanWood: ([x], p) => b(p, 1) * x! ** b(p, 2),
  ENSO: ([x], p) =>
    b(p, 1) +
    b(p, 2) * cos((2 * PI * x!) / 12) +
    b(p, 3) * sin((2 * PI * x!) / 12) +
    b(p, 5) * cos((2 * PI * x!) / b(p, 4)) +
    b(p, 6) * sin((2 * PI * x!) / b(p, 4)) +
    b(p, 8) * cos((2 * PI * x!) / b(p, 7)) +
    b(p, 9) * sin((2 * PI * x!) / b(p, 7)),
  Eckerle4: ([x], p) => (b(p, 1) / b(p, 2)) * exp(-0.5 * ((x! - b(p, 3)) / b(p, 2)) ** 2),
  Gauss1: gauss,
  Gauss2: gauss,
  Gauss3: gauss,
  Hahn1: cubicRatio,
  Kirby2: ([x], p) => (b(p, 1) + b(p, 2) * x! + b(p, 3) * x! ** 2) / (1 + b(p, 4) * x! + b(p, 5) * x! ** 2),
  Lanczos1: lanczos,
  Lanczos2: lanczos,
  Lanczos3: lanczos,
  MGH09: ([x], p) => (b(p, 1) * (x! ** 2 + x! * b(p, 2))) / (x! ** 2 + x! * b(p, 3) + b(p, 4)),
  MGH10: ([x], p) => b(p, 1) * exp(b(p, 2) / (x! + b(p, 3))),
  MGH17: ([x], p) => b(p, 1) + b(p, 2) * exp(-x! * b(p, 4)) + b(p, 3) * exp(-x! * b(p, 5)),
  Misra1a: rise,
  Misra1b: ([x], p) => b(p, 1) * (1 - (1 + (b(p, 2) * x!) / 2) ** -2),
  Misra1c: ([x], p) => b(p, 1) * (1 - (1 + 2 * b(p, 2) * x!) ** -0.5),
  Misra1d: ([x], p) => (b(p, 1) * b(p, 2) * x!) / (1 + b(p, 2) * x!),
  // The response is log y.
  Nelson: ([x1, x2], p) => b(p, 1) - b(p, 2) * x1! * exp(-b(p, 3) * x2!),
  Rat42: ([x], p) => b(p, 1) / (1 + exp(b(p, 2) - b(p, 3) * x!)),
  Rat43: ([x], p) => b(p, 1) / (1 + exp(b(p, 2) - b(p, 3) * x!)) ** (1 / b(p, 4)),
  Roszman1: ([x], p) => b(p, 1) - b(p, 2) * x! - atan(b(p, 3) / (x! - b(p, 4))) / PI,
  Thurber: cubicRatio,
};

export interface NistProblem {
  problem: LeastSquares;
  starts: [number[], number[]];
  certified: number[];
  deviations: number[];
  sse: number;
}

/** Reads one of NIST's files: values and data stand at the lines that its head names. */
export function readNist(name: string): NistProblem {
  const text = readFileSync(new URL(`../../fixtures/nist/${name}.dat`, import.meta.url), 'utf8');
  const values = [...text.matchAll(/^\s*b\d+\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)/gm)].map((match) =>
    match.slice(1, 5).map(Number),
  );
  const lines = text.slice(text.lastIndexOf('Data:')).split('\n').slice(1);
  const rows = lines.map((line) => line.trim().split(/\s+/).map(Number)).filter((row) => row.length > 1);
  const x = rows.map((row) => row.slice(1));
  const model = NIST_MODELS[name]!;
  const parameters = values.map(
    (_, j): LawParameter => ({
      name: `b${j + 1}`,
      meaning: '',
      unit: '1',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'level',
    }),
  );
  const k = parameters.length;
  return {
    problem: {
      points: rows.length,
      parameters,
      target: Float64Array.from(rows, (row) => (name === 'Nelson' ? Math.log(row[0]!) : row[0]!)),
      values(p, out) {
        for (let i = 0; i < x.length; i++) out[i] = model(x[i]!, p);
      },
      // Fourth-order differences: a relative error near 1e-12, beyond the eleven certified digits' need.
      jacobian(p, out) {
        const at = Array.from(p);
        for (let j = 0; j < k; j++) {
          const h = 1e-4 * Math.max(Math.abs(p[j]!), 1e-12);
          for (let i = 0; i < x.length; i++) {
            const f = (steps: number) => model(x[i]!, at.with(j, p[j]! + steps * h));
            out[i * k + j] = (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h);
          }
        }
      },
    },
    starts: [values.map((row) => row[0]!), values.map((row) => row[1]!)],
    certified: values.map((row) => row[2]!),
    deviations: values.map((row) => row[3]!),
    sse: Number(/Residual Sum of Squares:\s*(\S+)/.exec(text)![1]),
  };
}

/** Digits in which a value agrees with its certified one, at most the eleven that are certified. */
export const digits = (value: number, certified: number) =>
  Math.max(0, Math.min(11, -Math.log10(Math.abs(value - certified) / Math.abs(certified) || 1e-11)));
