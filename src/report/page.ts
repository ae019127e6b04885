import { createHash } from 'node:crypto';
import { packageVersion } from '../package-info.js';
import { drawingLibraries } from './bundle.js';
import { type ChartGroup, chartGroups } from './charts-of.js';
import { reportClient } from './client.js';
import { type Html, html, raw, scriptJson, scriptText } from './html.js';
import type { ReportModel } from './model.js';
import { packCharts } from './pack.js';
import { compactSvg, renderSvg, withoutLegend } from './render.js';
import {
  chartTable,
  definitionSection,
  figure,
  parameterSection,
  provenanceSection,
  runSection,
  summarySection,
} from './sections.js';
import { styleSheet } from './style.js';
import { fitSentence, leadSentence } from './text.js';
import { darkDeclarations, themed } from './theme.js';

export interface PageOptions {
  /** SVG pictures and no script, for mail and wikis. */
  static: boolean;
  /** Folder of the page, for relative links to runs; null leaves the links out. */
  outFolder: string | null;
}

/** Small multiples beyond this many are folded away. */
const MAX_MULTIPLES = 6;
/** Width at which pictures of a page without script are drawn. */
const STATIC_WIDTH = 680;
/** Rows of each table in a page without script, which must stay small enough for mail. */
const STATIC_ROWS = 40;

/** The whole page: the same model gives the same text. */
export async function reportPage(model: ReportModel, options: PageOptions): Promise<string> {
  const groups = chartGroups(model);
  const charts = groups.flatMap((group) => group.charts);
  const drawings = new Map<string, Html>();
  if (options.static) {
    for (const chart of charts) {
      const svg = await renderSvg(themed(withoutLegend(chart)), STATIC_WIDTH);
      drawings.set(chart.name, raw(compactSvg(svg)));
    }
  }
  const chartSections = groups.map((group) => chartSection(group, options, drawings));
  const body = html`<a class="skip" href="#main">Skip to the report</a><header><div class="bar"><div><h1>${model.title}</h1><p class="lead">${leadSentence(model)}</p>${second(model)}</div>${
    options.static ? '' : themeSwitch()
  }</div>${navigation(model, groups)}</header><main id="main">${summarySection(model)}${chartSections}${parameterSection(model, !options.static)}${runSection(model, options.outFolder)}${provenanceSection(model)}${definitionSection(model)}</main><footer>Made by sparselaw ${packageVersion()}. Laws and metrics after “Sparsing Law: Towards Large Language Models with Greater Activation Sparsity” (arXiv 2411.02335).</footer>`;
  const data = options.static ? '' : scriptJson(packCharts(charts));
  const css = styleSheet(darkDeclarations(`${body.markup}${data}`));
  const programs = options.static
    ? []
    : [...(await drawingLibraries()), scriptText(`(${reportClient.toString()})();`)];
  const policy = options.static
    ? "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    : `default-src 'none'; script-src ${programs.map(sourceHash).join(' ')}; style-src ${sourceHash(css)}; img-src data: blob:; base-uri 'none'; form-action 'none'`;
  const scripts = options.static
    ? ''
    : html`<noscript><p class="note">The charts of this page are drawn by its script; a page with pictures alone is made by “sparselaw report --static”.</p></noscript><script type="application/json" id="report-data">${raw(data)}</script>${programs.map(
        (program) => html`<script>${raw(program)}</script>`,
      )}`;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${raw(policy)}"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer"><title>${model.title}</title><style>${raw(css)}</style></head><body>${body}${scripts}</body></html>
`;
  return page.markup;
}

/** The verdicts, where the first sentence was about something else. */
function second(model: ReportModel): Html | null {
  const sentence = fitSentence(model);
  return sentence && sentence !== leadSentence(model) ? html`<p class="lead">${sentence}</p>` : null;
}

const sourceHash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const themeSwitch = () =>
  html`<div class="tools themes"><span class="switch" role="group" aria-label="Theme"><span><button type="button" data-theme="" aria-pressed="true">auto</button><button type="button" data-theme="light" aria-pressed="false">light</button><button type="button" data-theme="dark" aria-pressed="false">dark</button></span></span></div>`;

function navigation(model: ReportModel, groups: readonly ChartGroup[]): Html {
  const links: [string, string][] = [
    ...(model.fits.length > 0 ? [['summary', 'Summary'] as [string, string]] : []),
    ...groups.map(({ id, title }): [string, string] => [id, title]),
    ...(model.fits.length > 0 ? [['parameters', 'Parameters'] as [string, string]] : []),
    ['definitions', 'Definitions'],
  ];
  return html`<nav aria-label="Sections">${links.map(([id, title]) => html`<a href="#${id}">${title}</a> `)}</nav>`;
}

function chartSection(group: ChartGroup, options: PageOptions, drawings: Map<string, Html>): Html {
  const figures = group.charts.map((chart) =>
    figure(
      chart,
      options.static ? { drawing: drawings.get(chart.name)!, table: chartTable(chart, STATIC_ROWS) } : {},
    ),
  );
  const first = figures.slice(0, MAX_MULTIPLES);
  const rest = figures.slice(MAX_MULTIPLES);
  const grid = figures.length > 1 ? 'grid' : '';
  return html`<section id="${group.id}"><h2>${group.title}</h2>${group.intro && html`<p class="note">${group.intro}</p>`}<div class="${grid}">${first}</div>${
    rest.length > 0 &&
    html`<details><summary>${rest.length} more</summary><div class="grid">${rest}</div></details>`
  }</section>`;
}
