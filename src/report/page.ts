import { createHash } from 'node:crypto';
import { packageVersion } from '../package-info.js';
import { drawingLibraries } from './bundle.js';
import type { Row, Spec } from './chart.js';
import type { ChartGroup } from './chart-groups.js';
import { chartGroups } from './charts-of.js';
import { reportClient } from './client.js';
import { compactSvg } from './compact-svg.js';
import { countOf } from './format.js';
import { type Html, html, raw, scriptJson, scriptText } from './html.js';
import type { ReportModel } from './model.js';
import { packCharts } from './pack.js';
import { renderSvg, withoutLegend } from './render.js';
import {
  chartTable,
  definitionSection,
  figure,
  jointSection,
  parameterSection,
  provenanceSection,
  runSection,
} from './sections.js';
import { styleSheet } from './style.js';
import { summarySection } from './summary.js';
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
/** What a mail or a wiki takes: a page without script is thinned out until it is smaller. */
export const STATIC_BYTES = 200_000;

/** How much of the data a page without script shows. */
interface Extent {
  /** Rows of each chart's table. */
  rows: number;
  /** Rows of each dataset that is drawn, every k-th of more. */
  drawn: number;
  /** Charts of one section. */
  charts: number;
  /** Series in the tables of limits, parameters and runs. */
  series: number;
}
const EXTENTS: readonly Extent[] = [
  { rows: 40, drawn: 2000, charts: 100, series: 200 },
  { rows: 10, drawn: 1500, charts: 6, series: 60 },
  { rows: 0, drawn: 1000, charts: 4, series: 24 },
  { rows: 0, drawn: 400, charts: 2, series: 8 },
];

/** The whole page: the same model gives the same text. */
export async function reportPage(model: ReportModel, options: PageOptions): Promise<string> {
  const groups = chartGroups(model);
  if (!options.static) return scriptedPage(model, groups, options);
  let page = '';
  for (const extent of EXTENTS) {
    page = await staticPage(model, groups, options, extent);
    if (Buffer.byteLength(page) < STATIC_BYTES) break;
  }
  return page;
}

async function staticPage(
  model: ReportModel,
  groups: readonly ChartGroup[],
  options: PageOptions,
  extent: Extent,
): Promise<string> {
  const sections: Html[] = [];
  for (const group of groups) {
    const figures: Html[] = [];
    for (const chart of group.charts.slice(0, extent.charts)) {
      const { spec, note } = thinned(withoutLegend(chart), extent.drawn);
      const svg = await renderSvg(themed(spec), { width: STATIC_WIDTH, prefix: `${chart.name}-` });
      const drawing = raw(compactSvg(svg));
      const shown = {
        ...chart,
        caption: `${chart.caption}${note}`,
        legend: chart.legend.slice(0, extent.series),
      };
      figures.push(figure(shown, { drawing, table: chartTable(chart, extent.rows) }));
    }
    sections.push(chartSection(group, figures, group.charts.length - figures.length));
  }
  const body = pageBody(model, groups, sections, options, extent.series);
  const css = styleSheet(darkDeclarations(body.markup));
  const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  return document(model.title, policy, css, body, '');
}

async function scriptedPage(
  model: ReportModel,
  groups: readonly ChartGroup[],
  options: PageOptions,
): Promise<string> {
  const sections = groups.map((group) =>
    chartSection(
      group,
      group.charts.map((chart) => figure(chart, {})),
      0,
    ),
  );
  const body = pageBody(model, groups, sections, options, Number.POSITIVE_INFINITY);
  const data = scriptJson(packCharts(groups.flatMap((group) => group.charts)));
  const css = styleSheet(darkDeclarations(`${body.markup}${data}`));
  const programs = [...(await drawingLibraries()), scriptText(`(${reportClient.toString()})();`)];
  const policy = `default-src 'none'; script-src ${programs.map(sourceHash).join(' ')}; style-src ${sourceHash(css)}; img-src data: blob:; base-uri 'none'; form-action 'none'`;
  const scripts = html`<noscript><p class="note">The charts of this page are drawn by its script; a page with pictures alone is made by “sparselaw report --static”.</p></noscript><script type="application/json" id="report-data">${raw(data)}</script>${programs.map(
    (program) => html`<script>${raw(program)}</script>`,
  )}`;
  return document(model.title, policy, css, body, scripts);
}

function pageBody(
  model: ReportModel,
  groups: readonly ChartGroup[],
  sections: Html[],
  options: PageOptions,
  maxSeries: number,
): Html {
  const runs = runSection(model, { outFolder: options.outFolder, maxSeries });
  const provenance = provenanceSection(model);
  return html`<a class="skip" href="#main">Skip to the report</a><header><div class="bar"><div><h1>${model.title}</h1><p class="lead">${leadSentence(model)}</p>${second(model)}</div>${
    options.static ? '' : themeSwitch()
  }</div>${navigation(model, groups, { runs: runs !== null, provenance: provenance !== null })}</header><main id="main">${summarySection(model, { isStatic: options.static, maxSeries })}${sections}${jointSection(model)}${parameterSection(model, { all: !options.static, maxSeries })}${runs}${provenance}${definitionSection(model)}</main><footer>Made by sparselaw ${packageVersion()}. Laws and metrics after “Sparsing Law: Towards Large Language Models with Greater Activation Sparsity” (arXiv 2411.02335).</footer>`;
}

const document = (title: string, policy: string, css: string, body: Html, scripts: Html | string) =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${raw(policy)}"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer"><title>${title}</title><style>${raw(css)}</style></head><body>${body}${scripts}</body></html>
`.markup;

/** Every k-th row of the datasets with more than `most` rows, and a sentence about it. */
function thinned(spec: Spec, most: number): { spec: Spec; note: string } {
  let every = 1;
  const datasets = Object.fromEntries(
    Object.entries(spec.datasets as Record<string, Row[]>).map(([name, rows]) => {
      const step = Math.ceil(rows.length / most);
      every = Math.max(every, step);
      return [name, step > 1 ? rows.filter((_, i) => i % step === 0 || i === rows.length - 1) : rows];
    }),
  );
  const note = every > 1 ? ` For size, one row in ${every} is drawn here.` : '';
  return { spec: { ...spec, datasets }, note };
}

/** The verdicts, where the first sentence was about something else. */
function second(model: ReportModel): Html | null {
  const sentence = fitSentence(model);
  return sentence && sentence !== leadSentence(model) ? html`<p class="lead">${sentence}</p>` : null;
}

const sourceHash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const themeSwitch = () =>
  html`<div class="tools themes"><span class="switch" role="group" aria-label="Theme"><span><button type="button" data-theme="" aria-pressed="true">auto</button><button type="button" data-theme="light" aria-pressed="false">light</button><button type="button" data-theme="dark" aria-pressed="false">dark</button></span></span></div>`;

function navigation(
  model: ReportModel,
  groups: readonly ChartGroup[],
  has: { runs: boolean; provenance: boolean },
): Html {
  const links: [string, string][] = [
    ...(model.fits.length > 0 ? [['summary', 'Summary'] as [string, string]] : []),
    ...groups.map(({ id, title }): [string, string] => [id, title]),
    ...(model.sources.fits.some(({ file }) => file.joint.length > 0)
      ? [['joint', 'Several scales'] as [string, string]]
      : []),
    ...(model.fits.length > 0 ? [['parameters', 'Parameters'] as [string, string]] : []),
    ...(has.runs ? [['runs', 'Runs'] as [string, string]] : []),
    ...(has.provenance ? [['provenance', 'Provenance'] as [string, string]] : []),
    ['definitions', 'Definitions'],
  ];
  return html`<nav aria-label="Sections">${links.map(([id, title]) => html`<a href="#${id}">${title}</a> `)}</nav>`;
}

function chartSection(group: ChartGroup, figures: Html[], leftOut: number): Html {
  const first = figures.slice(0, MAX_MULTIPLES);
  const rest = figures.slice(MAX_MULTIPLES);
  const grid = figures.length > 1 ? 'grid' : '';
  return html`<section id="${group.id}"><h2>${group.title}</h2>${group.intro && html`<p class="note">${group.intro}</p>`}<div class="${grid}">${first}</div>${
    rest.length > 0 &&
    html`<details><summary>${rest.length} more</summary><div class="grid">${rest}</div></details>`
  }${leftOut > 0 && html`<p class="note">${countOf(leftOut, 'more chart')} are in the page with script.</p>`}</section>`;
}
