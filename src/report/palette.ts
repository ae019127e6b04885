/** One colour in both themes, as #rrggbb. */
export interface ThemedColor {
  light: string;
  dark: string;
}

/** Colours of the page and of the charts' axes. Text on its surface has a contrast of at least 4.5 : 1. */
export const UI_COLORS = {
  ink: { light: '#1b1f24', dark: '#e8eaed' },
  muted: { light: '#57606a', dark: '#a3abb5' },
  grid: { light: '#e9ebee', dark: '#2a2f37' },
  axis: { light: '#b4bac2', dark: '#4b535e' },
  surface: { light: '#ffffff', dark: '#16191e' },
  page: { light: '#f6f7f8', dark: '#0e1013' },
  line: { light: '#dfe2e6', dark: '#2c323a' },
  accent: { light: '#3451b2', dark: '#9db2ff' },
  good: { light: '#146c43', dark: '#6fd3a0' },
  goodSurface: { light: '#e5f4ec', dark: '#12291e' },
  caution: { light: '#7a4d00', dark: '#f0c060' },
  cautionSurface: { light: '#fdf2dc', dark: '#2e2410' },
  bad: { light: '#a11f2f', dark: '#ff9aa5' },
  badSurface: { light: '#fdeaec', dark: '#35161b' },
} as const satisfies Record<string, ThemedColor>;

/**
 * Hue (degrees of OKLCH) of each activation: far apart also for the colour-blind when neighbours differ in
 * lightness and marker shape. Others take the remaining hues in order.
 */
const ACTIVATION_HUES: Record<string, number> = {
  relu: 258,
  silu: 45,
  gelu: 325,
  gelu_tanh: 350,
  relu2: 195,
  drelu: 150,
};
const OTHER_HUES = [258, 45, 150, 325, 195, 95, 350, 20];
export const MARKERS = ['circle', 'square', 'triangle-up', 'diamond', 'cross', 'triangle-down'] as const;
export type Marker = (typeof MARKERS)[number];

/** Lightness at the ends of a ramp and of a single colour; at least 3 : 1 against the surface. */
const LIGHTNESS = {
  light: { first: 0.67, last: 0.36, only: 0.52 },
  dark: { first: 0.62, last: 0.88, only: 0.74 },
};
const CHROMA = 0.15;
/** A ramp also turns through this many degrees, so that neighbours differ in more than lightness. */
const TURN = 44;

/** Colours of `count` members of one family, from pale to strong. */
export function ramp(hue: number, count: number): ThemedColor[] {
  return Array.from({ length: count }, (_, i) => {
    const t = count > 1 ? i / (count - 1) : 0.5;
    const h = hue + (count > 1 ? (t - 0.5) * TURN : 0);
    const tone = ({ first, last, only }: (typeof LIGHTNESS)['light']) =>
      oklch(count > 1 ? first + (last - first) * t : only, CHROMA, h);
    return { light: tone(LIGHTNESS.light), dark: tone(LIGHTNESS.dark) };
  });
}

/** A hue for each family name (activations), stable whatever other families there are. */
export function familyHues(families: readonly string[]): Map<string, number> {
  const hues = new Map<string, number>();
  const taken = new Set<number>();
  for (const family of families) {
    const own = ACTIVATION_HUES[family];
    if (own === undefined) continue;
    hues.set(family, own);
    taken.add(own);
  }
  const free = [...OTHER_HUES.filter((hue) => !taken.has(hue)), ...OTHER_HUES];
  for (const [i, family] of families.filter((name) => !hues.has(name)).entries()) {
    hues.set(family, free[i % free.length]!);
  }
  return hues;
}

/** OKLCH → sRGB (Björn Ottosson's matrices); chroma is lowered until the colour exists on a screen. */
export function oklch(lightness: number, chroma: number, hueDegrees: number): string {
  for (let c = chroma; ; c -= 0.005) {
    const rgb = linearRgb(lightness, Math.max(c, 0), (hueDegrees * Math.PI) / 180);
    if (c <= 0 || rgb.every((value) => value >= -1e-4 && value <= 1 + 1e-4)) return toHex(rgb);
  }
}

function linearRgb(L: number, c: number, h: number): [number, number, number] {
  const a = c * Math.cos(h);
  const b = c * Math.sin(h);
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

const toHex = (rgb: readonly number[]) =>
  `#${rgb
    .map((value) => {
      const v = Math.min(1, Math.max(0, value));
      const gamma = v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055;
      return Math.round(gamma * 255)
        .toString(16)
        .padStart(2, '0');
    })
    .join('')}`;

/** WCAG contrast ratio of two #rrggbb colours. */
export function contrast(a: string, b: string): number {
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const v = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
