import type { Node } from '../graph.js';
import { add, binary, divide, multiply, splatLike } from '../ops.js';

/** erf(x) ≈ x·P(x²)/Q(x²) on [−4, 4], beyond which float32 has ±1: minimax coefficients, highest power first. */
const NUMERATOR = [
  -2.72614225801306e-10, 2.77068142495902e-8, -2.10102402082508e-6, -5.69250639462346e-5,
  -7.34990630326855e-4, -2.954600118429e-3, -1.60960333262415e-2,
];
const DENOMINATOR = [
  -1.45660718464996e-5, -2.13374055278905e-4, -1.68282697438203e-3, -7.37332916720468e-3,
  -1.42647390514189e-2,
];

/** Horner's scheme. */
const polynomial = (x: Node, coefficients: readonly number[]): Node =>
  coefficients
    .slice(1)
    .reduce<Node>(
      (sum, coefficient) => add(multiply(sum, x), splatLike(x, coefficient)),
      splatLike(x, coefficients[0]!),
    );

/** The error function to float32's precision, with the rational approximation that Eigen and XLA use. */
export function erf(x: Node): Node {
  const inside = binary('maximum', binary('minimum', x, splatLike(x, 4)), splatLike(x, -4));
  const square = multiply(inside, inside);
  return divide(multiply(inside, polynomial(square, NUMERATOR)), polynomial(square, DENOMINATOR));
}
