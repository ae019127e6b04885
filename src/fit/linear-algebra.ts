import { EigenvalueDecomposition, Matrix, QrDecomposition } from 'ml-matrix';

/** Undamped step over the free columns by QR; null when they are dependent. `norms` scale the columns. */
export function gaussNewtonStep(
  jacobian: Float64Array,
  k: number,
  free: readonly number[],
  norms: Float64Array,
  target: Float64Array,
  values: Float64Array,
): number[] | null {
  const points = target.length;
  if (points < free.length) return null;
  const columns = new Matrix(points, free.length);
  const residuals = new Matrix(points, 1);
  for (let i = 0; i < points; i++) {
    residuals.set(i, 0, target[i]! - values[i]!);
    for (let f = 0; f < free.length; f++) {
      columns.set(i, f, jacobian[i * k + free[f]!]! / norms[free[f]!]!);
    }
  }
  const qr = new QrDecomposition(columns);
  if (!qr.isFullRank()) return null;
  const step = qr.solve(residuals);
  const result = free.map((j, f) => step.get(f, 0) / norms[j]!);
  return result.every(Number.isFinite) ? result : null;
}

export interface Covariance {
  /** (JᵀJ)⁻¹ over all parameters; rows and columns of parameters that are not free are 0. Row-major [k, k]. */
  unscaled: Float64Array;
  /** Ratio of the largest to the smallest singular value of the Jacobian with columns of norm 1. */
  conditionNumber: number;
}

/** Directions of J narrower than this, relative to the widest, carry no information in doubles. */
const RANK_TOLERANCE = 1e-9;

/** (JᵀJ)⁻¹ of the free columns by eigenvalues of the scaled normal matrix; null when the columns are dependent. */
export function covariance(jacobian: Float64Array, k: number, free: readonly number[]): Covariance | null {
  const points = jacobian.length / k;
  const f = free.length;
  const unscaled = new Float64Array(k * k);
  if (f === 0) return { unscaled, conditionNumber: 1 };
  const norms = free.map((j) => {
    let sum = 0;
    for (let i = 0; i < points; i++) sum += jacobian[i * k + j]! ** 2;
    return Math.sqrt(sum);
  });
  if (norms.some((norm) => !(norm > 0) || !Number.isFinite(norm))) return null;
  const normal = Matrix.zeros(f, f);
  for (let a = 0; a < f; a++) {
    for (let b = a; b < f; b++) {
      let sum = 0;
      for (let i = 0; i < points; i++) sum += jacobian[i * k + free[a]!]! * jacobian[i * k + free[b]!]!;
      normal.set(a, b, sum / (norms[a]! * norms[b]!));
      normal.set(b, a, normal.get(a, b));
    }
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(normal, {
    assumeSymmetric: true,
  });
  const largest = Math.max(...realEigenvalues);
  const smallest = Math.min(...realEigenvalues);
  if (!(smallest > RANK_TOLERANCE ** 2 * 1e4 * largest)) return null;
  for (let a = 0; a < f; a++) {
    for (let b = 0; b < f; b++) {
      let sum = 0;
      for (let e = 0; e < f; e++) {
        sum += (eigenvectorMatrix.get(a, e) * eigenvectorMatrix.get(b, e)) / realEigenvalues[e]!;
      }
      unscaled[free[a]! * k + free[b]!] = sum / (norms[a]! * norms[b]!);
    }
  }
  return { unscaled, conditionNumber: Math.sqrt(largest / smallest) };
}
