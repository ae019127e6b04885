export interface XY {
  x: number;
  y: number;
}

/**
 * x where a curve through a few points meets `y`, by Lagrange's polynomial of x in y; NaN where two points share
 * their y or where they do not rise throughout (the polynomial would swing).
 */
export function inverseAt(points: readonly XY[], y: number): number {
  if (points.length < 2) return Number.NaN;
  for (let i = 1; i < points.length; i++) if (!(points[i]!.y > points[i - 1]!.y)) return Number.NaN;
  let x = 0;
  for (const [i, own] of points.entries()) {
    let weight = 1;
    for (const [j, other] of points.entries()) if (i !== j) weight *= (y - other.y) / (own.y - other.y);
    x += weight * own.x;
  }
  return x;
}
