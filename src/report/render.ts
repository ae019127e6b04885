import type { Chart, Spec } from './chart.js';

/** Width of a picture that stands alone, in CSS pixels. */
export const FIGURE_WIDTH = 720;

/**
 * A chart as SVG text, the same bytes every time: Vega without a browser estimates the widths of words.
 * @param options.prefix begins the names of clips and gradients, which the pictures of one page must not share
 */
export async function renderSvg(
  spec: Spec,
  { width = FIGURE_WIDTH, prefix = '' }: { width?: number; prefix?: string } = {},
): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const fixed = { ...spec, width } as unknown as Parameters<typeof compile>[0];
  const runtime = vega.parse(compile(fixed).spec);
  const view = new vega.View(runtime, { renderer: 'none' });
  try {
    return numberedAnew(await view.toSVG(), prefix);
  } finally {
    view.finalize();
  }
}

/** Vega numbers clips and gradients through all pictures of a process: here each picture begins at 0. */
function numberedAnew(svg: string, prefix: string): string {
  const numbers = new Map<string, number>();
  const rename = (name: string) => {
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return `${prefix}${name.replace(/\d+/, String(numbers.get(name)))}`;
  };
  // Only inside tags, so that no text changes.
  return svg.replace(/<[a-z][^>]*>/g, (tag) =>
    tag.replace(/(?<= id="|="url\(#)(?:clip|gradient_)\d+(?=[")])/g, rename),
  );
}

/** The spec as the page draws it: a legend of buttons stands above the chart, so the drawn one is left out. */
export function withoutLegend(chart: Chart): Spec {
  if (chart.legend.length === 0) return chart.spec;
  const encoding = chart.spec.encoding as Record<string, Spec>;
  // A channel's own legend, such as one with names for labels, is drawn whatever the configuration says.
  const { legend: _, ...color } = encoding.color!;
  return {
    ...chart.spec,
    encoding: { ...encoding, color },
    config: { ...(chart.spec.config as Spec), legend: { disable: true } },
  };
}
