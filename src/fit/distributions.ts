/** Distribution functions, by hand: no small maintained package is exact (checked against SciPy in the tests). */

const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** ln Γ(x) for x > 0 (Lanczos, g = 7). */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  let sum = LANCZOS[0]!;
  for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i]! / (x - 1 + i);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

const TINY = 1e-300;
const PRECISION = 1e-16;

/** Lentz's continued fraction of the incomplete beta function. */
function betaFraction(x: number, a: number, b: number): number {
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1) || TINY);
  let result = d;
  for (let m = 1; m <= 1000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d || TINY);
    c = 1 + even / c || TINY;
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d || TINY);
    c = 1 + odd / c || TINY;
    const delta = d * c;
    result *= delta;
    if (Math.abs(delta - 1) < PRECISION) break;
  }
  return result;
}

/** Regularised incomplete beta function I_x(a, b). */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2)
    ? (front * betaFraction(x, a, b)) / a
    : 1 - (front * betaFraction(1 - x, b, a)) / b;
}

/** P(T ≤ t) of Student's distribution. */
export function studentCdf(t: number, freedom: number): number {
  const tail = 0.5 * incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/** P(F ≤ f) with (numerator, denominator) degrees of freedom. */
export const fisherCdf = (f: number, numerator: number, denominator: number) =>
  f <= 0
    ? 0
    : incompleteBeta((numerator * f) / (numerator * f + denominator), numerator / 2, denominator / 2);

/** Regularised lower incomplete gamma function P(a, x), by series or continued fraction. */
function incompleteGamma(a: number, x: number): number {
  if (x <= 0) return 0;
  const front = Math.exp(-x + a * Math.log(x) - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; n < 1000 && term > sum * PRECISION; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return sum * front;
  }
  let b = x + 1 - a;
  let c = 1 / TINY;
  let d = 1 / b;
  let h = d;
  for (let n = 1; n < 1000; n++) {
    const an = -n * (n - a);
    b += 2;
    d = 1 / (an * d + b || TINY);
    c = b + an / c || TINY;
    const delta = d * c;
    h *= delta;
    if (Math.abs(delta - 1) < PRECISION) break;
  }
  return 1 - front * h;
}

/** P(X ≤ x) of χ² with `freedom` degrees of freedom. */
export const chiSquareCdf = (x: number, freedom: number) => incompleteGamma(freedom / 2, x / 2);

/** P(Z ≤ z) of the standard normal distribution. */
export function normalCdf(z: number): number {
  const half = 0.5 * incompleteGamma(0.5, (z * z) / 2);
  return z > 0 ? 0.5 + half : 0.5 - half;
}

/** Root of an increasing cdf by bracketing and bisection to doubles' precision. */
function quantile(cdf: (x: number) => number, probability: number): number {
  let lo = -1;
  let hi = 1;
  while (cdf(lo) > probability) lo *= 2;
  while (cdf(hi) < probability) hi *= 2;
  for (let i = 0; i < 200 && hi - lo > 1e-15 * Math.max(1, Math.abs(lo)); i++) {
    const mid = (lo + hi) / 2;
    if (cdf(mid) < probability) lo = mid;
    else hi = mid;
  }
  return (lo + hi) / 2;
}

const studentQuantiles = new Map<string, number>();

/** t with P(T ≤ t) = probability; remembered, since every interval of a series asks for the same one. */
export function studentQuantile(probability: number, freedom: number): number {
  const key = `${probability} ${freedom}`;
  let t = studentQuantiles.get(key);
  if (t === undefined) {
    t = quantile((x) => studentCdf(x, freedom), probability);
    studentQuantiles.set(key, t);
  }
  return t;
}

/** z with P(Z ≤ z) = probability. */
export const normalQuantile = (probability: number) => quantile(normalCdf, probability);

/** The value below which a share of the sorted sample lies, interpolating linearly between its points. */
export function sampleQuantile(sorted: ArrayLike<number>, share: number): number {
  const place = share * (sorted.length - 1);
  const i = Math.floor(place);
  const rest = place - i;
  return rest === 0 ? sorted[i]! : sorted[i]! * (1 - rest) + sorted[i + 1]! * rest;
}
