import type { Spec } from './chart.js';
import { oklch, UI_COLORS } from './palette.js';

const HEX = /^#[0-9a-f]{6}$/;
/** Keys under which no colour stands: data, and names that a user chose. */
const NOT_COLORS = new Set(['data', 'datasets', 'domain', 'field', 'title', 'sort', 'description']);

const UI_DARK = new Map<string, string>(Object.values(UI_COLORS).map(({ light, dark }) => [light, dark]));

/** `var(--c-3451b2,#3451b2)`: the page's style sheet gives the variable its dark value. */
const variable = (hex: string) => `var(--c-${hex.slice(1)},${hex})`;

/** The spec with every colour as a style-sheet variable, so that one picture serves both themes. */
export function themed(spec: Spec): Spec {
  return walk(spec, '') as Spec;
}

function walk(value: unknown, key: string): unknown {
  if (NOT_COLORS.has(key)) return value;
  if (typeof value === 'string') return HEX.test(value) ? variable(value) : value;
  if (Array.isArray(value)) return value.map((item) => walk(item, ''));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name)]));
}

/** Declarations of the dark values of all colours that `markup` refers to. */
export function darkDeclarations(markup: string): string {
  const used = new Set([...markup.matchAll(/var\(--c-([0-9a-f]{6}),/g)].map((match) => `#${match[1]}`));
  return [...used]
    .sort()
    .map((hex) => `--c-${hex.slice(1)}:${darkOf(hex)};`)
    .join('');
}

/** The dark-theme twin of a light-theme colour: listed ones by name, data colours by turning lightness round. */
export function darkOf(hex: string): string {
  const listed = UI_DARK.get(hex);
  if (listed) return listed;
  const { lightness, chroma, hue } = toOklch(hex);
  // The ends of the light ramp (0.67 pale, 0.36 strong) become those of the dark one (0.62 and 0.88).
  const dark = 0.62 + ((0.67 - lightness) * (0.88 - 0.62)) / (0.67 - 0.36);
  return oklch(Math.min(0.92, Math.max(0.6, dark)), chroma, hue);
}

function toOklch(hex: string) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const v = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  const A = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const B = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  return {
    lightness: 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    chroma: Math.hypot(A, B),
    hue: (Math.atan2(B, A) * 180) / Math.PI,
  };
}
