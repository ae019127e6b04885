import { relative, resolve, sep } from 'node:path';
import { METRIC_NAMES } from '../files/sparsity.js';
import { TABLE_COLUMNS } from '../files/table.js';
import { findLaw } from '../laws/index.js';
import { findJointLaw } from '../laws/joint/index.js';
import { compareText } from '../table/measurement-files.js';
import type { Chart } from './chart.js';
import { countOf, formatInterval, formatNumber, formatShare, formatValue } from './format.js';
import { formulaHtml } from './formula.js';
import { groupWords } from './group-names.js';
import { type Html, html, raw } from './html.js';
import type { FitView, ReportModel } from './model.js';
import type { Marker } from './palette.js';
import type { Series } from './series.js';
import { lawTitle, verdictOf } from './text.js';

const GLYPHS: Record<Marker, string> = {
  circle: '<circle cx="6" cy="6" r="5"/>',
  square: '<rect x="1.5" y="1.5" width="9" height="9"/>',
  'triangle-up': '<path d="M6 1l5.5 10H.5z"/>',
  diamond: '<path d="M6 0l5 6-5 6-5-6z"/>',
  cross: '<path d="M4 0h4v4h4v4H8v4H4V8H0V4h4z"/>',
  'triangle-down': '<path d="M6 11L.5 1h11z"/>',
};

export function glyph({ color, marker }: Series): Html {
  const fill = `var(--c-${color.light.slice(1)},${color.light})`;
  return raw(
    `<svg class="glyph" viewBox="0 0 12 12" aria-hidden="true" fill="${fill}">${GLYPHS[marker]}</svg>`,
  );
}

/** `alpha` → \alpha, `A0` → A_0, `d0` → d_0. */
export const texName = (name: string) =>
  name.length > 1 && /^[a-z]+$/.test(name) ? `\\${name}` : name.replace(/^([A-Za-z])(\d+)$/, '$1_$2');

/** A chart with its legend, switches, caption and the table behind it. `drawing` is empty where a script draws. */
export function figure(chart: Chart, options: { drawing?: Html; table?: Html; level?: 2 | 3 }): Html {
  const isStatic = options.drawing !== undefined;
  const switches = chart.switches.map((axis) => {
    const initial = axis === 'x' ? 'log' : 'linear';
    const button = (scale: 'linear' | 'log') =>
      html`<button type="button" data-axis="${axis}" data-scale="${scale}" aria-pressed="${String(scale === initial)}">${scale}</button>`;
    return html`<span class="switch" role="group" aria-label="${axis} axis">${axis}<span>${button('linear')}${button('log')}</span></span>`;
  });
  const exports = ['svg', 'png', 'csv', 'json'].map(
    (kind) =>
      html`<button type="button" data-export="${kind}" aria-label="Save ${chart.title} as ${kind.toUpperCase()}">${kind.toUpperCase()}</button>`,
  );
  const tools = isStatic
    ? ''
    : html`<div class="tools">${switches}<span class="export">${exports.map((b, i) => html`${i > 0 ? ' ' : ''}${b}`)}</span></div>`;
  const key = (series: Series) => {
    const whole = series.name === series.label ? '' : html` title="${series.label}"`;
    return isStatic
      ? html`<span class="key"${whole}>${glyph(series)}${series.name}</span>`
      : html`<button type="button" data-series="${series.label}"${whole} aria-pressed="true">${glyph(series)}${series.name}</button>`;
  };
  const legend =
    chart.legend.length > 0
      ? html`<div class="legend" role="group" aria-label="Series">${chart.legend.map(key)}${
          !isStatic && chart.legend.length > 1
            ? html`<button type="button" class="every" data-all="">all / none</button>`
            : ''
        }</div>`
      : '';
  const behind =
    options.table ??
    html`<details class="behind"><summary>Data (${chart.table.rows.length.toLocaleString('en-US')} rows)</summary><div class="scroll tall" tabindex="0" role="region" aria-label="Data of ${chart.title}" data-table="${chart.name}"></div></details>`;
  return html`<figure id="chart-${chart.name}" aria-labelledby="title-${chart.name}"><div class="head"><h3 id="title-${chart.name}">${chart.title}</h3>${tools}</div>${legend}<div class="plot${isStatic ? ' fixed' : ''}" role="img" aria-label="${chart.alt}">${
    isStatic
      ? html`<div aria-hidden="true">${options.drawing!}</div>`
      : html`<div aria-hidden="true" class="canvas" data-chart="${chart.name}"></div>`
  }</div>${chart.caption ? html`<figcaption>${chart.caption}</figcaption>` : ''}${behind}</figure>`;
}

/** Rows of a chart as a table in the page itself, for pages without a script. */
export function chartTable(chart: Chart, maxRows: number): Html {
  const { fields, rows } = chart.table;
  const left = rows.length - maxRows;
  if (maxRows === 0)
    return html`<p class="note">The ${rows.length.toLocaleString('en-US')} rows behind it are in the page with script.</p>`;
  return html`<details class="behind"><summary>Data (${rows.length.toLocaleString('en-US')} rows)</summary><div class="scroll tall" tabindex="0" role="region" aria-label="Data of ${chart.title}"><table><thead><tr>${fields.map(
    ({ title, kind }) => html`<th scope="col"${kind === 'text' ? '' : raw(' class="num"')}>${title}</th>`,
  )}</tr></thead><tbody>${rows.slice(0, maxRows).map(
    (row) =>
      html`<tr>${fields.map(({ field, kind }) => {
        const value = row[field];
        return kind === 'text' || typeof value !== 'number'
          ? html`<td>${value === null ? '–' : String(value)}</td>`
          : html`<td class="num">${formatValue(value, kind, 5)}</td>`;
      })}</tr>`,
  )}</tbody></table></div>${left > 0 ? html`<p class="note">${left.toLocaleString('en-US')} more rows are in the table the report was made from.</p>` : ''}</details>`;
}

/** Every parameter of every fitted law, with intervals. */
export function parameterSection(
  model: ReportModel,
  { all, maxSeries }: { all: boolean; maxSeries: number },
): Html | null {
  if (model.fits.length === 0) return null;
  const rows = (views: FitView[]) =>
    views.flatMap(({ name: series, fit, file }) => {
      const shown = Object.entries(fit.parameters);
      const ranked = file.comparison
        .find((entry) => JSON.stringify(entry.group) === JSON.stringify(fit.group))
        ?.ranking.find(({ law }) => law === fit.law);
      return shown.map(
        ([name, estimate], i) =>
          html`<tr>${
            i === 0
              ? html`<td rowspan="${shown.length}">${series}</td><td rowspan="${shown.length}">${lawTitle(fit.law)}<br><span class="badge ${verdictOf(fit).tone}">${verdictOf(fit).words}</span></td>`
              : ''
          }<td>${formulaHtml(texName(name))}</td><td class="num">${formatNumber(estimate.estimate, 4)}</td><td class="num">${estimate.standardError === null ? '–' : formatNumber(estimate.standardError, 2)}</td><td class="num">${formatInterval(estimate.interval, 'plain')}</td><td>${estimate.intervalMethod}${estimate.atBound ? ', at bound' : ''}</td>${
            i === 0
              ? html`<td class="num" rowspan="${shown.length}">${fit.r2 === null ? '–' : formatNumber(fit.r2, 4)}</td><td class="num" rowspan="${shown.length}">${fit.n}</td><td class="num" rowspan="${shown.length}">${ranked?.deltaAicc == null ? '–' : formatNumber(ranked.deltaAicc, 3)}</td><td class="num" rowspan="${shown.length}">${ranked?.weight == null ? '–' : formatShare(ranked.weight)}</td>`
              : ''
          }</tr>`,
      );
    });
  const head = [
    'series',
    'law',
    'parameter',
    'estimate',
    'std. error',
    'interval',
    'method',
    'R²',
    'n',
    'ΔAICc',
    'weight',
  ];
  const table = (views: FitView[]) =>
    html`<div class="scroll" tabindex="0" role="region" aria-label="Parameters"><table><thead><tr>${head.map(
      (title, i) => html`<th scope="col"${i >= 3 && i !== 6 ? raw(' class="num"') : ''}>${title}</th>`,
    )}</tr></thead><tbody>${rows(views)}</tbody></table></div>`;
  const preferred = model.fits.filter((view) => view.isPreferred);
  const others = model.fits.filter((view) => !view.isPreferred);
  const level = `${Math.round(model.fits[0]!.file.level * 100)}%`;
  const failed = model.sources.fits.flatMap(({ file }) => file.failed);
  return html`<section id="parameters"><h2>Parameters</h2><p class="note">Intervals are at ${level}, by profile likelihood where it closes. Parameters of a weakly identified law should not be read one by one.</p>${table(preferred.slice(0, maxSeries))}${
    preferred.length > maxSeries &&
    html`<p class="note">The parameters of ${preferred.length - maxSeries} more series are in fit.json.</p>`
  }${
    others.length > 0 &&
    !all &&
    html`<p class="note">${countOf(others.length, 'fit')} of other laws are in fit.json.</p>`
  }${
    others.length > 0 &&
    all &&
    html`<details><summary>The other laws (${others.length} fits)</summary>${table(others)}</details>`
  }${
    failed.length > 0 &&
    html`<p class="note">Without a usable fit: ${failed.map((f, i) => html`${i > 0 ? '; ' : ''}${groupWords(f.group, model.nameOf)} with ${lawTitle(f.law)} (${f.reason})`)}.</p>`
  }</section>`;
}

/** Laws fitted to runs of several scales at once: shared parameters, and whether they carry to a scale left out. */
export function jointSection(model: ReportModel): Html | null {
  const joint = model.sources.fits.flatMap(({ file }) =>
    file.joint.map((fit) => ({ fit, level: file.level })),
  );
  if (joint.length === 0) return null;
  const rows = joint.map(({ fit }) => {
    const law = findJointLaw(fit.law);
    const effects = new Set(law?.effects.map(({ name }) => name));
    const shared = Object.entries(fit.parameters).filter(([name]) => !effects.has(name.split('[')[0]!));
    const ratios = fit.leaveOneScaleOut.flatMap(({ rmseShape, rmseSeparate }) =>
      rmseShape !== null && rmseSeparate ? [rmseShape / rmseSeparate] : [],
    );
    const verdict = verdictOf(fit);
    const group = groupWords(fit.group, model.nameOf);
    return html`<tr><th scope="row">${group || countOf(fit.runs.length, 'run')}</th><td>${law?.title ?? fit.law}<br><span class="nowrap">${formulaHtml(fit.tex)}</span></td><td>${shared.map(
      ([name, { estimate, interval }]) =>
        html`<span class="nowrap">${formulaHtml(texName(name))} = ${formatNumber(estimate, 3)}</span> <span class="muted">(${formatInterval(interval, 'plain')})</span><br>`,
    )}</td><td class="num">${fit.chiSquarePerPoint === null ? '–' : formatNumber(fit.chiSquarePerPoint, 3)}</td><td class="num">${fit.parameterCount} (${fit.separateParameterCount})</td><td class="num">${
      ratios.length > 0
        ? `${formatNumber(Math.min(...ratios), 2)} to ${formatNumber(Math.max(...ratios), 2)}`
        : '–'
    }</td><td><span class="badge ${verdict.tone}">${verdict.words}</span></td></tr>`;
  });
  const head = [
    'runs',
    'law',
    `shared parameters, ${Math.round(joint[0]!.level * 100)}% interval`,
    'χ² / n',
    'parameters (separate)',
    'error at a scale left out',
    'verdict',
  ];
  return html`<section id="joint"><h2>Several scales together</h2><p class="note">χ²/n is in units of the noise of each run's own fit: 1 is as good as fitting every run alone. The error at a scale left out is that of the law of the other runs, with this run's own effects fitted, as a multiple of its own fit's.</p><div class="scroll" tabindex="0" role="region" aria-label="Joint laws"><table><thead><tr>${head.map(
    (title, i) => html`<th scope="col"${i >= 3 && i <= 5 ? raw(' class="num"') : ''}>${title}</th>`,
  )}</tr></thead><tbody>${rows}</tbody></table></div></section>`;
}

/** One row a run by its whole id, whatever the rest of the page calls it, with links to its files where the page lies within reach of them. */
export function runSection(
  model: ReportModel,
  { outFolder, maxSeries }: { outFolder: string | null; maxSeries: number },
): Html | null {
  const { runs } = model.sources;
  const labels = [...new Set([...runs.map(({ id }) => id), ...model.rows.map(({ label }) => label)])];
  if (labels.length === 0 || (runs.length === 0 && model.rows.every(({ row }) => row.run_id === null)))
    return null;
  const rows = labels.slice(0, maxSeries).map((label) => {
    const run = runs.find(({ id }) => id === label);
    const own = model.rows.filter((entry) => entry.label === label).map(({ row }) => row);
    const last = own.reduce<(typeof own)[number] | undefined>(
      (a, b) => ((b.tokens ?? -1) > (a?.tokens ?? -1) ? b : a),
      undefined,
    );
    const validation = run?.metrics.flatMap((m) => ('validation_bits_per_byte' in m ? [m] : [])).at(-1);
    const tokens = last?.tokens ?? run?.metrics.at(-1)?.tokens ?? null;
    const parameters = last?.params_non_embedding ?? run?.provenance?.model.parametersNonEmbedding ?? null;
    const shape = last?.n_layer ? `${last.n_layer} × ${last.d_model}, FFN ${last.d_ff}` : '–';
    const series = model.series.get(label);
    const link = run && outFolder !== null ? linkTo(outFolder, run.path) : null;
    const name = html`${series ? glyph(series) : ''} ${link ? html`<a href="${link}">${label}</a>` : label}`;
    // A name that is no part of the id is said beside it.
    const called = label.startsWith(model.nameOf(label)) ? '' : html` (${model.nameOf(label)})`;
    return html`<tr><td>${name}${called}${run?.failure ? html` <span class="badge bad">failed: ${run.failure.message}</span>` : ''}</td><td>${last?.activation ?? series?.family ?? '–'}</td><td>${shape}</td><td class="num">${formatValue(parameters, 'count')}</td><td class="num">${formatValue(tokens, 'count')}</td><td class="num">${tokens !== null && parameters ? formatNumber(tokens / parameters, 3) : '–'}</td><td class="num">${formatValue(last?.epochs ?? null, 'plain', 3)}</td><td class="num">${formatValue(validation?.validation_loss_nats_per_token ?? last?.loss_dense_nats_per_token ?? null, 'plain', 4)}</td><td class="num">${formatValue(validation?.validation_bits_per_byte ?? null, 'plain', 4)}</td><td class="num">${new Set(own.map((row) => row.checkpoint)).size}</td></tr>`;
  });
  const head = [
    'run',
    'activation',
    'layers × width',
    'parameters',
    'tokens',
    'tokens / parameter',
    'epochs',
    'loss',
    'bits / byte',
    'checkpoints',
  ];
  return html`<section id="runs"><h2>Runs</h2><p class="note">Parameters without the embedding; loss in nats per token on the validation set at the last checkpoint.</p><div class="scroll" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>${head.map(
    (title, i) => html`<th scope="col"${i >= 3 ? raw(' class="num"') : ''}>${title}</th>`,
  )}</tr></thead><tbody>${rows}</tbody></table></div>${
    labels.length > maxSeries &&
    html`<p class="note">${countOf(labels.length - maxSeries, 'more run')} are in the table the report was made from.</p>`
  }</section>`;
}

/** Relative, so that a folder with page and runs can be moved; only letters that cannot be a scheme or leave quotes. */
function linkTo(outFolder: string, path: string): string {
  const parts = relative(resolve(outFolder), resolve(path)).split(sep);
  return `./${parts.map((part) => encodeURIComponent(part)).join('/')}/`;
}

/** Versions, devices, hashes, command lines: what a reviewer needs to redo it. */
export function provenanceSection(model: ReportModel): Html | null {
  const { fits, tables, runs, notes } = model.sources;
  const files = [
    ...fits.map(({ file }) => [
      file.table.path.split(/[\\/]/).at(-1)!,
      'the table of a fit',
      file.table.sha256,
    ]),
    ...tables
      .filter(({ sha256 }) => sha256)
      .map(({ path, sha256 }) => [path.split(/[\\/]/).at(-1)!, 'table', sha256]),
    ...runs.flatMap(({ id, provenance }) =>
      provenance
        ? [
            [id, 'data', provenance.data.manifestSha256],
            [id, 'tokenizer', provenance.data.tokenizerSha256],
            [id, 'configuration', provenance.configSha256],
          ]
        : [],
    ),
  ];
  const unique = [...new Map(files.map((row) => [row.join('\n'), row])).values()];
  const sessions = runs.flatMap(({ id, provenance }) =>
    (provenance?.sessions ?? []).map((session) => ({ id, session })),
  );
  const measured = [
    ...new Set(
      model.rows
        .map(({ row }) => [row.engine, row.device, row.precision].filter(Boolean).join(', '))
        .filter(Boolean),
    ),
  ].sort(compareText);
  if (unique.length === 0 && sessions.length === 0 && measured.length === 0) return null;
  return html`<section id="provenance"><h2>Provenance</h2>${notes.map((note) => html`<p class="note">${note}</p>`)}${
    measured.length > 0 && html`<p class="note">Measured with ${measured.join('; ')}.</p>`
  }${
    unique.length > 0 &&
    html`<details><summary>Hashes of ${unique.length} inputs (SHA-256)</summary><div class="scroll" tabindex="0" role="region" aria-label="Hashes"><table><tbody>${unique.map(
      ([name, what, hash]) => html`<tr><td>${name}</td><td>${what}</td><td class="hash">${hash}</td></tr>`,
    )}</tbody></table></div></details>`
  }${
    sessions.length > 0 &&
    html`<details><summary>How the runs were trained (${sessions.length} sessions)</summary>${sessions.map(
      ({ id, session }) =>
        html`<p class="note"><strong>${id}</strong>, steps ${session.fromStep} to ${session.toStep ?? '?'}, ${session.outcome}: ${session.engine} on ${session.deviceDescription}, ${session.precision}, ${session.deterministic ? 'deterministic' : 'not deterministic'}; ${session.host.cpu}, ${session.host.cores} cores; ${session.startedAt} to ${session.endedAt ?? '?'}${session.gitRevision ? `, revision ${session.gitRevision}` : ''}. ${Object.entries(
          session.versions,
        )
          .map(([name, version]) => `${name} ${version}`)
          .join(', ')}</p><pre>${session.commandLine.join(' ')}</pre>`,
    )}</details>`
  }</section>`;
}

const METRIC_WORDS: Record<string, string> = {
  zero: 'A neuron is inactive where its value is exactly zero.',
  fat: 'A neuron is inactive where the absolute value of its gate lies below ε, one ε for all layers.',
  topk: 'Per token, the k neurons with the largest absolute gate are active; k is a share of the layer.',
  global: 'A neuron is inactive where the norm of its output lies below one ε for all layers.',
  cett: 'A neuron is inactive where the norm of its output lies below a threshold of its layer, chosen so that what all inactive neurons would have added is on average the given share (CETT) of the layer’s output.',
  pplp: 'CETT with the one value, shared by all layers, at which perplexity rises by p percent over the dense model’s.',
};

/** Definitions of what the page shows, with formulas. */
export function definitionSection(model: ReportModel): Html {
  const metrics = METRIC_NAMES.filter((name) => model.rows.some(({ row }) => row.metric === name));
  const laws = [...new Set(model.fits.map(({ fit }) => fit.law))].flatMap((id) => {
    const law = findLaw(id);
    return law ? [law] : [];
  });
  const ratio = TABLE_COLUMNS.activation_ratio.definition;
  return html`<section id="definitions"><h2>Definitions</h2><dl class="defs"><dt>Activation ratio</dt><dd>${formulaHtml('A = 1 - sparsity'.replace('sparsity', 'S'))}, with <i>S</i> the sparsity. ${ratio}</dd>${metrics.map(
    (name) => html`<dt>${METRIC_TITLES[name]}</dt><dd>${METRIC_WORDS[name]}</dd>`,
  )}${
    metrics.some((name) => name === 'cett' || name === 'pplp') &&
    html`<dt>CETT</dt><dd>${formulaHtml('C = \\frac{‖\\sum_{i∈D} n_i‖}{‖\\sum_i n_i‖}')}, a mean over tokens, with ${formulaHtml('n_i')} the output of neuron <i>i</i> and <i>D</i> the inactive ones.</dd>`
  }${
    model.rows.some(({ row }) => row.shared_cett) &&
    html`<dt>Shared bound</dt><dd>One CETT for PPL-p%, found on the last checkpoints of a run together (last 5: on five) and used at each of them; else the bound is each checkpoint's own.</dd>`
  }${laws.map(
    (law) =>
      html`<dt>${law.title}</dt><dd>${formulaHtml(law.tex)}<br>${law.parameters.map(
        ({ name, meaning }, i) => html`${i > 0 ? '; ' : ''}${formulaHtml(texName(name))} ${meaning}`,
      )}. <span class="muted">${law.source}.</span></dd>`,
  )}${
    laws.length > 0 &&
    html`<dt>ΔAICc and weight</dt><dd>Difference of the corrected Akaike criterion to the best law of the series, and the share of the evidence it leaves a law; below 2 two laws are hardly told apart.</dd><dt>Interval</dt><dd>All values of a parameter that the data do not reject, the others following them (profile likelihood).</dd>`
  }</dl></section>`;
}

const METRIC_TITLES: Record<string, string> = {
  zero: 'Exact zeros',
  fat: 'FAT-ε',
  topk: 'Top-k',
  global: 'Global threshold',
  cett: 'CETT threshold',
  pplp: 'PPL-p%',
};
