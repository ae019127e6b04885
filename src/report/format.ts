/** What kind of number a column holds, which decides how it is written. */
export type NumberKind = 'share' | 'count' | 'plain';

/** A share is a column of fractions that people read as percent. */
export function kindOf(column: string): NumberKind {
  if (/^(activation_ratio|sparsity|limit)(_|$)/.test(column) || /(^|_)share$/.test(column)) return 'share';
  if (/^(tokens|params|steps?$|batch_tokens|unique_tokens)/.test(column)) return 'count';
  return 'plain';
}

const MINUS = '\u2212';
const signed = (text: string) => text.replace(/^-/, MINUS);

/** At most `digits` significant digits without trailing zeros; very large and small ones as 1.2×10⁻⁷. */
export function formatNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return value > 0 ? '∞' : value < 0 ? `${MINUS}∞` : '–';
  if (value === 0) return '0';
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude < -4 || magnitude >= 7) {
    const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 1)).split('e') as [string, string];
    return signed(`${trimZeros(mantissa)}×10${superscript(Number(exponent))}`);
  }
  const text = value.toFixed(Math.max(0, Math.min(12, digits - 1 - magnitude)));
  return signed(text.includes('.') ? trimZeros(text) : text);
}

const trimZeros = (text: string) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
const superscript = (n: number) =>
  String(n).replace(/[-\d]/g, (c) => (c === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(c)]!));

/** 41600000000 → 41.6B, 108000000 → 108M: three significant digits. */
export function formatCount(value: number): string {
  const units: [number, string][] = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  for (const [size, unit] of units) {
    // 999.6 of a unit would round to four digits: it is one of the next.
    if (Math.abs(value) >= size * 0.9995) return `${formatNumber(value / size, 3)}${unit}`;
  }
  return formatNumber(value, 3);
}

/** 0.0614 → 6.14%. `uncertainty` (a half width, same unit) decides the decimals. */
export function formatShare(value: number, uncertainty?: number | null): string {
  const decimals =
    uncertainty && Number.isFinite(uncertainty) && uncertainty > 0
      ? decimalsFor(uncertainty * 100)
      : decimalsOf(value * 100);
  return signed(`${(value * 100).toFixed(decimals)}%`);
}

/** Decimals that show two digits of an uncertainty that begins with 1, 2 or 3, else one (the rule of the PDG). */
function decimalsFor(uncertainty: number): number {
  const magnitude = Math.floor(Math.log10(uncertainty));
  const digits = uncertainty / 10 ** magnitude < 3.55 ? 2 : 1;
  return Math.min(4, Math.max(0, digits - 1 - magnitude));
}

/** Three significant digits of a percentage. */
const decimalsOf = (percent: number) =>
  percent === 0 ? 0 : Math.min(4, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(percent)))));

export function formatValue(value: number | null | undefined, kind: NumberKind, digits = 4): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (kind === 'share') return formatShare(value);
  return kind === 'count' ? formatCount(value) : formatNumber(value, digits);
}

/** `5.1% to 6.8%`; an end that does not close, or lies where no share can, is said in words. */
export function formatInterval(interval: readonly [number | null, number | null], kind: NumberKind): string {
  const one = (value: number) => formatWithin(value, interval, kind, 3);
  const isPossible = (value: number | null) =>
    value !== null && (kind !== 'share' || (value >= 0 && value <= 1));
  const [low, high] = interval.map((value) => (isPossible(value) ? value : null)) as [
    number | null,
    number | null,
  ];
  if (low === null && high === null) return 'not bounded by the data';
  if (low === null) return `at most ${one(high!)}`;
  if (high === null) return `at least ${one(low)}`;
  return `${one(low)} to ${one(high)}`;
}

/** A value with as many decimals as its interval makes worth reading. */
export function formatWithin(
  value: number,
  [low, high]: readonly [number | null, number | null],
  kind: NumberKind,
  digits = 4,
): string {
  const halfWidth = low !== null && high !== null ? (high - low) / 2 : null;
  return kind === 'share' ? formatShare(value, halfWidth) : formatValue(value, kind, digits);
}

/** `1 run`, `2 runs`. */
export const countOf = (n: number, noun: string, plural = `${noun}s`) =>
  `${n.toLocaleString('en-US')} ${n === 1 ? noun : plural}`;

/** `a`, `a and b`, `a, b and c`. */
export const listOf = (items: readonly string[]) =>
  items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;

/** Sorts `relu-64` before `relu-128`, the same on every machine. */
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'variant' });
export const compareNatural = (a: string, b: string) =>
  collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
