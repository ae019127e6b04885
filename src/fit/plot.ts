import { plot } from 'simple-ascii-chart';
import type { Fit, FitFile } from '../files/fit.js';
import { findLaw } from '../laws/index.js';
import { groupName } from './series.js';
import { shortNumber, withSuffix } from './summary.js';

export interface PlotOptions {
  /** Characters a line may have. */
  columns: number;
  color: boolean;
}

const CURVE_POINTS = 120;
const HEIGHT = 16;
const TICKS = 6;
/** Room for the axis labels to the left of the drawing and half a label to its right. */
const MARGIN = 14;
/** A label's digits: enough to tell six ticks apart. */
const DIGITS = 3;

/**
 * Points and curve of one fit as text, in the table's units, x on a logarithmic axis when it spans more than a factor
 * of three. A line that says why where there is nothing to draw.
 */
export function plotFit(fit: Fit, file: Pick<FitFile, 'x' | 'y' | 'xUnit'>, options: PlotOptions): string {
  const { columns, color } = options;
  const law = findLaw(fit.law);
  const name = groupName(fit.group);
  if (!law || !fit.points || !fit.converged) {
    const why = fit.converged ? 'its points were not written (--detail full)' : 'it did not converge';
    return `${name}, ${fit.law}: not drawn, ${why}.`;
  }
  const p = law.parameters.map(({ name }) => fit.parameters[name]!.estimate);
  const { x, y } = fit.points;
  const first = x[0]!;
  const last = x.at(-1)!;
  const logarithmic = first > 0 && last / first > 3;
  const place = (value: number) => (logarithmic ? Math.log10(value) : value);
  const curve = Array.from({ length: CURVE_POINTS }, (_, i): [number, number] => {
    const share = i / (CURVE_POINTS - 1);
    if (share === 1) return [place(last), law.value(last, p)];
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
      // The last one exactly: rounding above it would leave it out.
      (_, i) => (i === TICKS - 1 ? ends[1] : ends[0] + ((ends[1] - ends[0]) * i) / (TICKS - 1)),
    ),
    formatter: (value, { axis }) => {
      if (axis === 'y') return shortNumber(Number(value.toPrecision(DIGITS)));
      return withSuffix((logarithmic ? 10 ** value : value) * file.xUnit, DIGITS);
    },
  });
  const scale = logarithmic ? ', logarithmic' : '';
  const axes = `${file.y} against ${file.x}${scale}; ● measured, ━ ${fit.law}`;
  return `${name}\n${drawing.trimEnd()}\n  ${axes}`;
}
