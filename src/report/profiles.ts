import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type ProfileDescription, type ProfileName, profileSchema } from '../files/profile.js';
import { runPaths } from '../files/run.js';
import { readRows } from '../fit/read-rows.js';
import { readJson } from '../io/json.js';
import { groupBy } from '../table/group-by.js';
import { compareText } from '../table/measurement-files.js';
import { isNumber } from './chart.js';
import { type ChartGroup, slug } from './chart-groups.js';
import { chunkRatios } from './charts/chunk-ratios.js';
import { checkpointLabel } from './charts/layer-heatmap.js';
import { neuronFrequencies } from './charts/neuron-frequencies.js';
import { pareto } from './charts/pareto.js';
import { positionRatios } from './charts/position-ratios.js';
import { tokenRatios } from './charts/token-ratios.js';
import { compareNatural, formatNumber, formatShare } from './format.js';

type Cells = Record<string, string | number | null>;

/** One distribution of one checkpoint, as `measure --profile` writes it. */
export interface ProfileSource {
  /** The run, or the folder of a foreign checkpoint. */
  id: string;
  /** What the page calls it; the id where nothing is said. */
  name?: string;
  description: ProfileDescription;
  rows: Cells[];
}

const DESCRIPTION = /\.(?:parquet|csv)\.schema\.json$/;

/**
 * The distributions of a run's last checkpoint, or of the checkpoints in a folder of foreign measurements.
 * @throws SparselawError (status 3) for a broken one
 */
export async function readProfiles(folder: string): Promise<ProfileSource[]> {
  const described: { path: string; description: ProfileDescription }[] = [];
  for (const place of [folder, runPaths(folder).sparsity]) {
    const names = await readdir(place).catch(() => []);
    for (const name of names.filter((own) => DESCRIPTION.test(own)).sort(compareText)) {
      const description = await readJson(join(place, name), profileSchema);
      described.push({ path: join(place, name.replace(/\.schema\.json$/, '')), description });
    }
  }
  // Every checkpoint's would fill the page; the last one's is what was trained.
  const last = [
    ...groupBy(described, ({ description: d }) => `${d.profile} ${d.settingsHash} ${d.runId}`).values(),
  ].flatMap((own) => {
    const most = Math.max(...own.map(({ description }) => description.tokens ?? -1));
    return own.filter(({ description }) => (description.tokens ?? -1) === most);
  });
  return Promise.all(
    last.map(async ({ path, description }) => ({
      id: description.runId ?? (description.tokens === null ? description.checkpoint : basename(folder)),
      description,
      rows: await readCells(path, description),
    })),
  );
}

async function readCells(path: string, { columns }: ProfileDescription): Promise<Cells[]> {
  const numeric = new Set(columns.filter(({ kind }) => kind !== 'text').map(({ name }) => name));
  const rows: Cells[] = [];
  let names: string[] = [];
  await readRows(path, {
    columns: (found) => {
      names = found;
    },
    row: (cells) => {
      const row: Cells = {};
      for (const [i, name] of names.entries()) {
        const cell = cells[i] ?? null;
        row[name] = numeric.has(name) && cell !== null && cell !== '' ? Number(cell) : cell;
      }
      rows.push(row);
    },
  });
  return rows;
}

const number = (row: Cells, name: string): number | null => {
  const value = row[name];
  return isNumber(value) ? value : null;
};

/** `relu-64 at 200M`, and in an id. */
const titleOf = ({ id, name = id, description }: ProfileSource) =>
  description.tokens === null
    ? name
    : `${name} at ${checkpointLabel(description.tokens, description.checkpoint)}`;
const nameOf = (prefix: string, { id, description }: ProfileSource) =>
  `${prefix}-${slug(`${id}-${description.metric}`)}`;

function ofKind(sources: readonly ProfileSource[], kind: ProfileName): ProfileSource[] {
  return sources
    .filter(({ description }) => description.profile === kind)
    .sort((a, b) => compareNatural(a.id, b.id));
}

/** Perplexity against activation ratio of every rule; of CETT alone where only that sweep was made. */
export function paretoProfiles(sources: readonly ProfileSource[]): ChartGroup {
  const swept = ofKind(sources, 'pareto');
  const has = new Set(swept.map(({ description }) => description.checkpointSha256));
  const alone = ofKind(sources, 'cett').filter(({ description }) => !has.has(description.checkpointSha256));
  return {
    id: 'pareto-profiles',
    title: 'Perplexity against activation ratio, each rule swept',
    intro:
      'Rules that share a score differ in how layers and tokens share the active neurons; measured on the calibration tokens.',
    charts: [...swept, ...alone].map((source) => {
      const rows = source.rows.map((row) => {
        const arm = String(row.arm ?? 'cett');
        const parameter = number(row, row.arm === undefined ? 'cett' : 'parameter');
        const loss = number(row, 'loss_sparse_nats_per_token');
        const shown =
          parameter === null
            ? ''
            : arm.startsWith('topk')
              ? formatShare(parameter)
              : formatNumber(parameter, 3);
        return {
          metric: arm,
          setting: arm === 'zero' ? 'exact zeros' : `${arm} ${shown}`,
          activationRatio: number(row, 'activation_ratio'),
          perplexity: loss === null ? null : Math.exp(loss),
        };
      });
      const first = source.rows.find((row) => number(row, 'ppl_ratio'));
      const densePerplexity = first
        ? Math.exp(number(first, 'loss_sparse_nats_per_token')!) / number(first, 'ppl_ratio')!
        : null;
      return pareto({ name: nameOf('pareto-swept', source), run: titleOf(source), rows, densePerplexity });
    }),
  };
}

/** What a chart of a profile is called, and of which measurement it is. */
const frameOf = (prefix: string, source: ProfileSource) => ({
  name: nameOf(prefix, source),
  run: titleOf(source),
  setting: source.description.definition,
});

/** Points of one layer's sorted curve: enough for a line, however many neurons there are. */
const CURVE_POINTS = 65;

export function neuronProfiles(sources: readonly ProfileSource[]): ChartGroup {
  return {
    id: 'neurons',
    title: 'How often neurons are active',
    intro:
      'A steep curve means few busy neurons do most of the work; neurons at 0 never woke in the text measured.',
    charts: ofKind(sources, 'neurons').map((source) =>
      neuronFrequencies({
        ...frameOf('neurons', source),
        rows: [...groupBy(source.rows, (row) => number(row, 'layer') ?? -1)].flatMap(([layer, own]) =>
          sortedCurve(own.map((row) => number(row, 'frequency') ?? 0)).map((point) => ({
            curve: `layer ${layer + 1}`,
            ...point,
          })),
        ),
      }),
    ),
  };
}

/** Quantiles from the busiest neuron on. */
const sortedCurve = (frequencies: readonly number[]): { share: number; frequency: number }[] =>
  quantiles(frequencies.map((value) => ({ value, weight: 1 }))).map(({ share, value }) => ({
    share,
    frequency: value,
  }));

/** The largest values first: `share` of all weight lies on values of at least `value`. */
function quantiles(values: readonly { value: number; weight: number }[]): { share: number; value: number }[] {
  const sorted = [...values].sort((a, b) => b.value - a.value);
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  const curve = sorted.map(({ value, weight }) => {
    sum += weight;
    return { share: sum / total, value };
  });
  const count = Math.min(CURVE_POINTS, curve.length);
  const short = (number: number) => Number(number.toPrecision(5));
  let at = 0;
  return Array.from({ length: count }, (_, i) => {
    if (count > 1) while (at < curve.length - 1 && curve[at]!.share < i / (count - 1) - 1e-12) at++;
    return { share: short(curve[at]!.share), value: short(curve[at]!.value) };
  });
}

export function tokenProfiles(sources: readonly ProfileSource[]): ChartGroup {
  return {
    id: 'tokens',
    title: 'Activation ratio by input token',
    intro: 'Where the two curves part, frequent entries need more neurons or fewer than rare ones.',
    charts: ofKind(sources, 'tokens').map((source) => {
      const entries = source.rows.map((row) => ({
        value: number(row, 'activation_ratio') ?? 0,
        count: number(row, 'count') ?? 0,
      }));
      const curveOf = (curve: string, weight: (count: number) => number) =>
        quantiles(entries.map(({ value, count }) => ({ value, weight: weight(count) }))).map((point) => ({
          curve,
          share: point.share,
          activationRatio: point.value,
        }));
      return tokenRatios({
        ...frameOf('tokens', source),
        rows: [...curveOf('vocabulary entries', () => 1), ...curveOf('tokens of the text', (count) => count)],
      });
    }),
  };
}

export function chunkProfiles(sources: readonly ProfileSource[]): ChartGroup {
  return {
    id: 'chunks',
    title: 'Neurons that several tokens need together',
    intro:
      'A batch of tokens must load every neuron that one of them activates: this share, not the ratio of single tokens, bounds the work saved.',
    charts: ofKind(sources, 'chunks').map((source) =>
      chunkRatios({
        ...frameOf('chunks', source),
        rows: source.rows.map((row) => ({
          layer: number(row, 'layer'),
          tokens: number(row, 'chunk_tokens'),
          activationRatio: number(row, 'activation_ratio'),
        })),
      }),
    ),
  };
}

export function positionProfiles(sources: readonly ProfileSource[]): ChartGroup {
  return {
    id: 'positions',
    title: 'Activation ratio along the window',
    intro: '',
    charts: ofKind(sources, 'positions').map((source) =>
      positionRatios({
        ...frameOf('positions', source),
        rows: source.rows.map((row) => ({
          position: number(row, 'position'),
          activationRatio: number(row, 'activation_ratio'),
        })),
      }),
    ),
  };
}
