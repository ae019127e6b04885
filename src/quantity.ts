const SUFFIXES: Readonly<Record<string, number>> = { k: 1e3, M: 1e6, B: 1e9 };

/** `250000`, `250k`, `1.5M`, `2B` or `1e6` → a number; undefined for anything else. */
export function parseQuantity(text: string): number | undefined {
  const match = /^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([kMB])?\s*$/.exec(text);
  if (!match) return undefined;
  const value = Number(match[1]) * (match[2] ? SUFFIXES[match[2]]! : 1);
  // 1.1M is 1100000.0000000001 in binary: whole where a whole number was clearly meant.
  const whole = Math.round(value);
  return match[2] && Math.abs(value - whole) < 1e-9 * Math.abs(value) ? whole : value;
}
