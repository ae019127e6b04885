import type { Law, LawParameter, WorkingForm } from '../laws/law.js';

/** A least-squares problem: find p with Σᵢ (target[i] − values(p)[i])² smallest. Residuals are already whitened. */
export interface LeastSquares {
  /** Number of residuals. */
  points: number;
  parameters: readonly LawParameter[];
  target: Float64Array;
  /** Writes the `points` values at p. */
  values(p: Float64Array, out: Float64Array): void;
  /** Writes ∂values/∂p, row-major [points, parameters]. */
  jacobian(p: Float64Array, out: Float64Array): void;
}

/** One law on one series. `x` is in the law's units. */
export function lawProblem(law: Law, x: Float64Array, y: Float64Array): LeastSquares {
  const k = law.parameters.length;
  const row = new Float64Array(k);
  return {
    points: x.length,
    parameters: law.parameters,
    target: y,
    values(p, out) {
      for (let i = 0; i < x.length; i++) out[i] = law.value(x[i]!, p);
    },
    jacobian(p, out) {
      for (let i = 0; i < x.length; i++) {
        law.gradient(x[i]!, p, row);
        for (let j = 0; j < k; j++) out[i * k + j] = row[j]!;
      }
    },
  };
}

/** The same problem with another target, e.g. a bootstrap sample. */
export const withTarget = (problem: LeastSquares, target: Float64Array): LeastSquares => ({
  ...problem,
  target,
});

/** Residuals divided by sigma[i]: the solver's own `weights` are broken (see levenberg-marquardt.ts). */
export function weighted(problem: LeastSquares, sigma: ArrayLike<number>): LeastSquares {
  const k = problem.parameters.length;
  const scale = Float64Array.from({ length: problem.points }, (_, i) => 1 / sigma[i]!);
  return {
    ...problem,
    target: problem.target.map((value, i) => value * scale[i]!),
    values(p, out) {
      problem.values(p, out);
      for (let i = 0; i < out.length; i++) out[i]! *= scale[i]!;
    },
    jacobian(p, out) {
      problem.jacobian(p, out);
      for (let i = 0; i < problem.points; i++) for (let j = 0; j < k; j++) out[i * k + j]! *= scale[i]!;
    },
  };
}

/** Logarithms on both sides: relative instead of absolute errors. Values ≤ 0 become NaN, which the solver refuses. */
export function logarithmic(problem: LeastSquares): LeastSquares {
  const k = problem.parameters.length;
  const f = new Float64Array(problem.points);
  return {
    ...problem,
    target: problem.target.map(Math.log),
    values(p, out) {
      problem.values(p, out);
      for (let i = 0; i < out.length; i++) out[i] = Math.log(out[i]!);
    },
    jacobian(p, out) {
      problem.values(p, f);
      problem.jacobian(p, out);
      for (let i = 0; i < f.length; i++) for (let j = 0; j < k; j++) out[i * k + j]! /= f[i]!;
    },
  };
}

/**
 * Whitens a first-order Markov covariance: correlation[i] is that of residual i with residual i − 1 (0 for i = 0),
 * so that e'ᵢ = (eᵢ − ρᵢ·eᵢ₋₁) / √(1 − ρᵢ²) are independent with the variance of e.
 */
export function decorrelated(problem: LeastSquares, correlation: ArrayLike<number>): LeastSquares {
  const k = problem.parameters.length;
  const apply = (v: Float64Array, width: number) => {
    for (let i = problem.points - 1; i > 0; i--) {
      const rho = correlation[i]!;
      const scale = 1 / Math.sqrt(1 - rho * rho);
      for (let j = 0; j < width; j++) {
        v[i * width + j] = (v[i * width + j]! - rho * v[(i - 1) * width + j]!) * scale;
      }
    }
  };
  const target = problem.target.slice();
  apply(target, 1);
  return {
    ...problem,
    target,
    values(p, out) {
      problem.values(p, out);
      apply(out, 1);
    },
    jacobian(p, out) {
      problem.jacobian(p, out);
      apply(out, k);
    },
  };
}

/** The same problem in a law's working coordinates. */
export function inWorkingForm(problem: LeastSquares, form: WorkingForm): LeastSquares {
  const k = problem.parameters.length;
  const chain = new Float64Array(k * k);
  const row = new Float64Array(k);
  return {
    ...problem,
    parameters: form.parameters,
    values(q, out) {
      problem.values(Float64Array.from(form.fromWorking(q)), out);
    },
    jacobian(q, out) {
      problem.jacobian(Float64Array.from(form.fromWorking(q)), out);
      form.derivatives(q, chain);
      for (let i = 0; i < problem.points; i++) {
        for (let j = 0; j < k; j++) {
          let sum = 0;
          for (let m = 0; m < k; m++) sum += out[i * k + m]! * chain[m * k + j]!;
          row[j] = sum;
        }
        for (let j = 0; j < k; j++) out[i * k + j] = row[j]!;
      }
    },
  };
}

/** Σ (target − values)² at p. */
export function sumOfSquares(
  problem: LeastSquares,
  p: Float64Array,
  values = new Float64Array(problem.points),
) {
  problem.values(p, values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (problem.target[i]! - values[i]!) ** 2;
  return sum;
}
