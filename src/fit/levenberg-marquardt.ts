import { levenbergMarquardt } from 'ml-levenberg-marquardt';
import { fromInternal, internalBounds, toInternal } from './coordinates.js';
import { gaussNewtonStep } from './linear-algebra.js';
import type { LeastSquares } from './problem.js';

export interface Solution {
  p: Float64Array;
  sse: number;
  /** Our own verdict: the residuals are orthogonal to every free column of the Jacobian, to rounding. */
  converged: boolean;
  iterations: number;
  /** Largest |cosine| between the residuals and a free column of the Jacobian; 0 at a stationary point. */
  cosine: number;
  /** Per parameter: it lies on a bound and the fit would go further. */
  atBound: boolean[];
}

export interface SolveOptions {
  /** Parameters held at their starting values. */
  fixed?: readonly boolean[];
  maxIterations?: number;
  /** Refine to rounding with undamped steps; for results, not for the thousands of fits of a bootstrap. */
  polish?: boolean;
}

/** A stationary point: SSE cannot be improved by more than cosine² ≈ 1e-14 of itself, at the limit of doubles. */
const COSINE_TOLERANCE = 1e-7;
/** Below this, polishing could only follow rounding. */
const POLISHED = 1e-11;
/** Undamped steps converge linearly where residuals are large. */
const POLISH_ROUNDS = 40;
/** When no damping gives a better point, rounding is all that is left below this. */
const STALLED_TOLERANCE = 1e-4;
/** An exact fit: the residuals are rounding errors of the target. */
const EXACT = 1e-28;
const DAMPING = { first: 1e-3, min: 1e-14, max: 1e12, down: 10, up: 5 };

interface State {
  u: Float64Array;
  p: Float64Array;
  values: Float64Array;
  sse: number;
}

/**
 * Bounded nonlinear least squares on ml-levenberg-marquardt 5.1.0, used one step at a time so that its traps stay
 * outside: `weights` are never passed (they are wrong; problems come whitened), the Jacobian is analytic, a step that
 * does not lower the sum is not taken, damping is relative to the Jacobian's columns (each coordinate is scaled by its
 * column's norm, which makes the library's λI Marquardt's λ·diag JᵀJ), parameters on a bound that would leave it are
 * taken out of the step, and convergence is our own test.
 */
export function solve(problem: LeastSquares, start: ArrayLike<number>, options: SolveOptions = {}): Solution {
  const { parameters, points, target } = problem;
  const k = parameters.length;
  const { maxIterations = 200, fixed } = options;
  const bounds = parameters.map(internalBounds);
  const u = new Float64Array(k);
  for (let j = 0; j < k; j++) {
    const [lower, upper] = bounds[j]!;
    u[j] = Math.min(Math.max(toInternal(parameters[j]!, start[j]!), lower), upper);
  }
  let state: State = { u, p: new Float64Array(k), values: new Float64Array(points), sse: 0 };
  let trial: State = { u: u.slice(), p: new Float64Array(k), values: new Float64Array(points), sse: 0 };
  const evaluate = (at: State) => {
    for (let j = 0; j < k; j++) {
      at.p[j] = fixed?.[j] ? start[j]! : fromInternal(parameters[j]!, at.u[j]!);
    }
    problem.values(at.p, at.values);
    at.sse = 0;
    for (let i = 0; i < points; i++) at.sse += (target[i]! - at.values[i]!) ** 2;
  };
  let targetSquares = 0;
  for (let i = 0; i < points; i++) targetSquares += target[i]! ** 2;

  const jacobian = new Float64Array(points * k);
  const gradient = new Float64Array(k);
  const norms = new Float64Array(k);
  const atBound = new Array<boolean>(k).fill(false);
  let free: number[] = [];
  let cosine = Infinity;

  /** Jacobian in the searched coordinates, its column norms, the gradient, the free set and the cosine. */
  const linearise = (at: State) => {
    problem.jacobian(at.p, jacobian);
    gradient.fill(0);
    norms.fill(0);
    for (let i = 0; i < points; i++) {
      const r = target[i]! - at.values[i]!;
      for (let j = 0; j < k; j++) {
        const value =
          parameters[j]!.transform === 'log' ? jacobian[i * k + j]! * at.p[j]! : jacobian[i * k + j]!;
        jacobian[i * k + j] = value;
        gradient[j]! += value * r;
        norms[j]! += value * value;
      }
    }
    const residual = Math.sqrt(at.sse);
    free = [];
    cosine = 0;
    for (let j = 0; j < k; j++) {
      norms[j] = Math.sqrt(norms[j]!);
      const [lower, upper] = bounds[j]!;
      atBound[j] =
        !fixed?.[j] && ((at.u[j]! <= lower && gradient[j]! <= 0) || (at.u[j]! >= upper && gradient[j]! >= 0));
      if (fixed?.[j] || atBound[j] || !(norms[j]! > 0)) continue;
      free.push(j);
      cosine = Math.max(cosine, Math.abs(gradient[j]!) / (norms[j]! * residual));
    }
  };
  const finish = (converged: boolean, iterations: number): Solution => ({
    p: state.p,
    sse: state.sse,
    converged,
    iterations,
    cosine,
    atBound,
  });

  evaluate(state);
  if (!Number.isFinite(state.sse)) return finish(false, 0);
  linearise(state);
  if (!jacobian.every(Number.isFinite)) return finish(false, 0);

  const index = Float64Array.from({ length: points }, (_, i) => i);
  let damping = DAMPING.first;
  let up = DAMPING.up;
  let iterations = 0;
  let converged = false;
  for (; iterations < maxIterations; iterations++) {
    if (free.length === 0 || cosine <= COSINE_TOLERANCE || state.sse <= EXACT * targetSquares) {
      converged = true;
      break;
    }
    if (damping > DAMPING.max) {
      converged = cosine <= STALLED_TOLERANCE;
      break;
    }
    if (!libraryStep(state, trial, damping)) {
      damping *= up;
      up *= 2;
      continue;
    }
    [state, trial] = [trial, state];
    linearise(state);
    damping = Math.max(damping / DAMPING.down, DAMPING.min);
    up = DAMPING.up;
  }
  if (options.polish && converged && free.length > 0 && cosine > POLISHED) polish();
  return finish(converged, iterations);

  /** One damped step of the library over the free parameters; true when `to` is a better point than `from`. */
  function libraryStep(from: State, to: State, lambda: number): boolean {
    const row = new Array<number>(free.length).fill(0);
    const moveTo = (z: ArrayLike<number>) => {
      to.u.set(from.u);
      for (let f = 0; f < free.length; f++) {
        const j = free[f]!;
        const [lower, upper] = bounds[j]!;
        to.u[j] = Math.min(Math.max(from.u[j]! + z[f]! / norms[j]!, lower), upper);
      }
      evaluate(to);
    };
    let best = from.sse;
    try {
      const result = levenbergMarquardt(
        { x: index, y: target },
        (z) => {
          if (z.every((value) => value === 0)) return (i) => from.values[i]!;
          moveTo(z);
          return (i) => to.values[i]!;
        },
        {
          initialValues: free.map(() => 0),
          damping: lambda,
          maxIterations: 1,
          errorTolerance: 0,
          minValues: free.map((j) => (bounds[j]![0] - from.u[j]!) * norms[j]!),
          maxValues: free.map((j) => (bounds[j]![1] - from.u[j]!) * norms[j]!),
          jacobianFunction: () => (i) => {
            for (let f = 0; f < free.length; f++) row[f] = jacobian[i * k + free[f]!]! / norms[free[f]!]!;
            return row;
          },
        },
      );
      best = result.parameterError;
    } catch {
      return false; // A singular normal matrix at this damping.
    }
    return best < from.sse && Number.isFinite(to.sse) && to.sse < from.sse && jacobianIsFinite(to);
  }

  function jacobianIsFinite(at: State): boolean {
    return at.p.every(Number.isFinite);
  }

  /** Undamped steps, kept while they bring the residuals closer to orthogonal without raising the sum. */
  function polish(): void {
    for (let round = 0; round < POLISH_ROUNDS && cosine > POLISHED; round++) {
      const step = gaussNewtonStep(jacobian, k, free, norms, target, state.values);
      if (!step) return;
      trial.u.set(state.u);
      for (const [f, j] of free.entries()) {
        const [lower, upper] = bounds[j]!;
        trial.u[j] = Math.min(Math.max(state.u[j]! + step[f]!, lower), upper);
      }
      evaluate(trial);
      if (!(trial.sse <= state.sse * (1 + 1e-12) + Number.MIN_VALUE)) return;
      const before = cosine;
      [state, trial] = [trial, state];
      linearise(state);
      if (!(cosine < before)) {
        [state, trial] = [trial, state];
        linearise(state);
        return;
      }
    }
  }
}
