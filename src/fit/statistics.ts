/**
 * AICc from n·ln(SSE/n): k counts the parameters and σ. Null when n ≤ k + 2 (the correction explodes) or when the
 * fit is exact.
 * @param correction added to n·ln(SSE/n): twice the negative log-Jacobian of a transformed y or of a whitening
 */
export function aicc(sse: number, n: number, parameters: number, correction = 0): number | null {
  const k = parameters + 1;
  if (n <= k + 2 || !(sse > 0)) return null;
  return n * Math.log(sse / n) + correction + 2 * k + (2 * k * (k + 1)) / (n - k - 1);
}

/** Σ(eᵢ − eᵢ₋₁)²/Σeᵢ² of residuals in order of x: 2 when independent, towards 0 when neighbours resemble. */
export function durbinWatson(residuals: ArrayLike<number>): number | null {
  let differences = 0;
  let squares = 0;
  for (let i = 0; i < residuals.length; i++) {
    squares += residuals[i]! ** 2;
    if (i > 0) differences += (residuals[i]! - residuals[i - 1]!) ** 2;
  }
  return squares > 0 ? differences / squares : null;
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

/** Sample standard deviation (n − 1). */
export function standardDeviation(values: ArrayLike<number>): number {
  const center = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - center) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

/** Errors of a curve against its points, in the unit of y. R² is null when y is constant. */
export function goodness(y: ArrayLike<number>, fitted: ArrayLike<number>) {
  const center = mean(y);
  let sse = 0;
  let absolute = 0;
  let total = 0;
  for (let i = 0; i < y.length; i++) {
    const residual = y[i]! - fitted[i]!;
    sse += residual ** 2;
    absolute += Math.abs(residual);
    total += (y[i]! - center) ** 2;
  }
  return { sse, mse: sse / y.length, mae: absolute / y.length, r2: total > 0 ? 1 - sse / total : null };
}
