import type { Fit, FitFile, JointFit, ScaleTest } from '../files/fit.js';
import { groupName } from './series.js';

/** Four significant digits, without trailing zeros or needless exponents. */
export function shortNumber(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return Number(value.toPrecision(4)).toString();
}

const SUFFIXES = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** 41600000000 → 41.6B, as `predict --at` reads it; small numbers as they are. */
export function withSuffix(value: number, digits: number): string {
  const rounded = Number(value.toPrecision(digits));
  const [size, suffix] = SUFFIXES.find(([least]) => Math.abs(rounded) >= least) ?? [1, ''];
  return `${Number((rounded / size).toPrecision(digits))}${suffix}`;
}

export function shortInterval(interval: readonly [number | null, number | null]): string {
  const [low, high] = interval;
  if (low === null && high === null) return '';
  return `[${low === null ? 'open' : shortNumber(low)}, ${high === null ? 'open' : shortNumber(high)}]`;
}

/** More fits than this are listed one a line. */
const DETAILED_FITS = 12;

/** The fits as lines of text for a terminal of 80 columns. */
export function summaryLines(file: FitFile): string[] {
  const detailed = file.fits.length <= DETAILED_FITS;
  const lines: string[] = [];
  for (const comparison of file.comparison) {
    const key = JSON.stringify(comparison.group);
    const fits = file.fits.filter((fit) => JSON.stringify(fit.group) === key);
    if (detailed || fits.length > 1) lines.push(groupName(comparison.group));
    const chosen = comparison.chosen;
    for (const fit of chosen && fits.length > 1 ? fits.filter((own) => own.law === chosen.law) : fits) {
      lines.push(...(detailed || chosen ? fitLines(fit) : [oneLine(fit, groupName(fit.group))]));
    }
    if (chosen) lines.push(...wrapped(`chosen: ${chosen.law}: ${chosen.why}`, '  '));
    if (fits.length > 1) {
      lines.push(
        '  law                  ΔAICc  weight  hold-out RMSE',
        ...comparison.ranking.map(
          ({ law, deltaAicc, weight, forecastRmse }) =>
            `  ${law.padEnd(19)}${(deltaAicc?.toFixed(1) ?? '–').padStart(7)}${(weight?.toFixed(3) ?? '–').padStart(8)}${shortNumber(forecastRmse).padStart(15)}`,
        ),
      );
      const averaged = comparison.averagedLimit;
      if (averaged) {
        lines.push(
          `  limit averaged over the laws ${shortNumber(averaged.estimate)} ${shortInterval(averaged.interval)}; ` +
            `weight of laws without a possible limit ${averaged.weightWithoutLimit.toFixed(2)}`,
        );
      }
    }
    if (detailed) lines.push('');
  }
  for (const joint of file.joint) lines.push(...jointLines(joint), '');
  for (const test of file.scaleTests) lines.push(...scaleLines(test, file), '');
  while (lines.at(-1) === '') lines.pop();
  return lines.flatMap((line) => (line.length > 100 ? wrapped(line.trim(), indentOf(line)) : line));
}

const indentOf = (line: string) => ' '.repeat(line.length - line.trimStart().length);

function oneLine(fit: Fit, name: string): string {
  const limit = fit.limit
    ? ` limit ${shortNumber(fit.limit.estimate)} ${shortInterval(fit.limit.interval)}`
    : '';
  return `${name}  ${fit.law} n ${fit.n}${limit} ${fit.verdict}`;
}

function fitLines(fit: Fit): string[] {
  const numbers = [
    `n ${fit.n}`,
    fit.dropped > 0 && `${fit.dropped} dropped`,
    fit.r2 !== null && `R² ${fit.r2.toFixed(4)}`,
    fit.mse !== null && `MSE ${fit.mse.toExponential(2)}`,
    fit.aicc !== null && `AICc ${fit.aicc.toFixed(1)}`,
    fit.durbinWatson !== null && `DW ${fit.durbinWatson.toFixed(2)}`,
  ].filter(Boolean);
  const rows = Object.entries(fit.parameters).map(
    ([name, { estimate, interval, verdict }]) =>
      `    ${name.padEnd(10)}${shortNumber(estimate).padEnd(12)}${shortInterval(interval).padEnd(26)}${verdict}`,
  );
  const limit =
    fit.limit &&
    `    ${'limit'.padEnd(10)}${shortNumber(fit.limit.estimate).padEnd(12)}${shortInterval(fit.limit.interval).padEnd(26)}${fit.limit.verdict}`;
  const bootstrap = fit.bootstrap?.limit
    ? [
        `    bootstrap of the limit (${fit.bootstrap.scheme}, ${fit.bootstrap.replicates}): ${shortInterval(fit.bootstrap.limit.interval)}`,
      ]
    : [];
  return [
    `  ${fit.law}: ${fit.verdict}`,
    `    ${fit.formula}`,
    `    ${numbers.join(', ')}`,
    ...rows,
    ...(limit ? [limit] : []),
    ...bootstrap,
    ...fit.reasons.flatMap((reason) => wrapped(`! ${reason}`, '    ')),
  ];
}

function jointLines(joint: JointFit): string[] {
  const rows = Object.entries(joint.parameters).map(
    ([name, { estimate, interval, verdict }]) =>
      `    ${name.padEnd(22)}${shortNumber(estimate).padEnd(12)}${shortInterval(interval).padEnd(26)}${verdict}`,
  );
  return [
    `${groupName(joint.group)}: ${joint.runs.length} runs together`,
    `  ${joint.law}: ${joint.verdict}`,
    `    ${joint.formula}`,
    `    n ${joint.n}, ${joint.parameterCount} parameters (separate fits: ${joint.separateParameterCount}), χ²/n ${shortNumber(joint.chiSquarePerPoint)}`,
    ...rows,
    ...(joint.leaveOneScaleOut.length > 0
      ? [
          '    left out              shape RMSE    forecast RMSE  separate RMSE',
          ...joint.leaveOneScaleOut.map(
            ({ run, rmseShape, rmseForecast, rmseSeparate }) =>
              `    ${run.padEnd(20)}${shortNumber(rmseShape).padStart(12)}${shortNumber(rmseForecast).padStart(17)}${shortNumber(rmseSeparate).padStart(15)}`,
          ),
        ]
      : []),
    ...joint.reasons.flatMap((reason) => wrapped(`! ${reason}`, '    ')),
  ];
}

function scaleLines(test: ScaleTest, file: FitFile): string[] {
  const { relativePerDecade: change } = test;
  const percent = (value: number | null) => (value === null ? 'open' : `${(100 * value).toFixed(1)} %`);
  return [
    `${groupName(test.group)}: ${file.y} against ${file.x}, ${test.n} points`,
    `  ${percent(change.estimate)} a decade [${change.interval.map(percent).join(', ')}], p ${shortNumber(test.pValue)} of no dependence`,
    `  ${test.verdict} dependence (margin ± ${percent(test.margin)} a decade)`,
  ];
}

/** Breaks a sentence at spaces to fit 80 columns. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.length + word.length > 79 && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = `${indent}  `;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()];
}
