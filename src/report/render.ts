import type { Chart, Spec } from './chart.js';

/** Width of a picture that stands alone, in CSS pixels. */
export const FIGURE_WIDTH = 720;

/** A chart as SVG text, the same bytes every time: Vega without a browser estimates the widths of words. */
export async function renderSvg(spec: Spec, width = FIGURE_WIDTH): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const fixed = { ...spec, width } as unknown as Parameters<typeof compile>[0];
  const runtime = vega.parse(compile(fixed).spec);
  const view = new vega.View(runtime, { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** The spec as the page draws it: a legend of buttons stands above the chart, so the drawn one is left out. */
export function withoutLegend(chart: Chart): Spec {
  if (chart.legend.length === 0) return chart.spec;
  return { ...chart.spec, config: { ...(chart.spec.config as Spec), legend: { disable: true } } };
}
