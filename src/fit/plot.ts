import { plot } from 'simple-ascii-chart';
import type { Fit } from '../files/fit.js';
import { findLaw } from '../laws/index.js';
import { shortNumber } from './summary.js';

export interface PlotOptions {
  /** Characters a line may have. */
  columns: number;
  color: boolean;
}

const CURVE_POINTS = 120;
const HEIGHT = 16;
const TICKS = 6;
/** Room for the axis labels to the left of the drawing. */
const MARGIN = 14;

/**
 * Points and curve of one fit as text, x on a logarithmic axis when it is positive. Empty when the fit has no
 * numbers or its points were not written.
 */
export function plotFit(fit: Fit, { columns, color }: PlotOptions): string {
  const law = findLaw(fit.law);
  if (!law || !fit.points || !fit.converged) return '';
  const p = law.parameters.map(({ name }) => fit.parameters[name]!.estimate);
  const { x, y } = fit.points;
  const first = x[0]!;
  const last = x.at(-1)!;
  const logarithmic = first > 0 && last / first > 3;
  const place = (value: number) => (logarithmic ? Math.log10(value) : value);
  const curve = Array.from({ length: CURVE_POINTS }, (_, i): [number, number] => {
    const share = i / (CURVE_POINTS - 1);
    const at = logarithmic ? first * (last / first) ** share : first + share * (last - first);
    return [place(at), law.value(at, p)];
  });
  const ends: [number, number] = [place(first), place(last)];
  const drawing = plot(curve, {
    width: Math.max(20, columns - MARGIN),
    height: HEIGHT,
    color: color ? 'ansiCyan' : undefined,
    points: x.map((value, i) => ({ x: place(value), y: y[i]!, ...(color ? { color: 'ansiYellow' } : {}) })),
    yRange: [
      Math.min(...y, ...curve.map(([, value]) => value)),
      Math.max(...y, ...curve.map(([, value]) => value)),
    ],
    customXAxisTicks: Array.from(
      { length: TICKS },
      (_, i) => ends[0] + ((ends[1] - ends[0]) * i) / (TICKS - 1),
    ),
    formatter: (value, { axis }) => {
      const shown = axis === 'x' && logarithmic ? 10 ** value : value;
      return Number(shown.toPrecision(3));
    },
  });
  const scale = logarithmic ? ' (logarithmic x)' : '';
  return `${drawing.trimEnd()}\n  ● points and the curve of ${fit.law}${scale}, x from ${shortNumber(first)} to ${shortNumber(last)}`;
}
