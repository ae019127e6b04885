import type { SparsityLayer, SparsityMeasurement } from '../files/sparsity.js';
import { type BootstrapOptions, bootstrapError } from './bootstrap.js';
import type { MeasureContext } from './context.js';
import { average, type MaskedPass, total } from './evaluate.js';
import { METRICS, type Outcome, type Setting } from './metrics/index.js';
import { outputNormRule, type Rule } from './rules.js';

/** A setting's outcome on one set of windows; protocol `paper` has one for each batch. */
export interface Part {
  context: MeasureContext;
  outcome: Outcome;
}

/** What the dense activations say of an outcome, per layer. */
interface DenseFigures {
  /** Undefined where nothing is dropped by a threshold. */
  cett?: number[];
  activeCount: number[];
}

/** The fields of a measurement that come from passes; the caller adds who, where and when. */
export type Figures = Pick<
  SparsityMeasurement,
  | 'definition'
  | 'status'
  | 'activationRatio'
  | 'activationRatioStandardError'
  | 'activationRatioDense'
  | 'sparsity'
  | 'gateZeroShare'
  | 'cett'
  | 'perplexity'
  | 'loss'
  | 'layers'
  | 'search'
  | 'crossings'
>;

const dropsNothing = ({ rule, thresholds }: Outcome) =>
  rule.id === outputNormRule.id && thresholds.every((value) => value === 0);

/** One dense pass for all outcomes of a rule on a set of windows: their thresholds are its columns. */
async function denseFigures(context: MeasureContext, outcomes: readonly Outcome[]): Promise<DenseFigures[]> {
  const figures = new Map<Outcome, DenseFigures>();
  const groups = new Map<string, { rule: Rule; members: Outcome[] }>();
  for (const outcome of outcomes) {
    if (dropsNothing(outcome)) {
      figures.set(outcome, { activeCount: (await context.dense()).active.map(total) });
      continue;
    }
    const group = groups.get(outcome.rule.id) ?? { rule: outcome.rule, members: [] };
    group.members.push(outcome);
    groups.set(outcome.rule.id, group);
  }
  for (const { rule, members } of groups.values()) {
    const columns = members[0]!.thresholds.map((_, layer) => members.map((m) => m.thresholds[layer]!));
    const { cett, active } = await context.session.dense(rule, context.windows, columns);
    members.forEach((member, k) => {
      figures.set(member, {
        cett: cett.map((layer) => average(layer[k]!)),
        activeCount: active.map((layer) => total(layer[k]!)),
      });
    });
  }
  return outcomes.map((outcome) => figures.get(outcome)!);
}

/**
 * The figures of several settings; parts[s] are the parts of settings[s], every setting on the same windows.
 * Means over parts have equal weights: parts are of equal size.
 */
export async function summarise(
  settings: readonly Setting[],
  parts: readonly (readonly Part[])[],
  bootstrap: BootstrapOptions,
): Promise<Figures[]> {
  const batches = parts[0]?.length ?? 0;
  const dense: DenseFigures[][] = settings.map(() => []);
  for (let b = 0; b < batches; b++) {
    const figures = await denseFigures(
      parts[0]![b]!.context,
      parts.map((own) => own[b]!.outcome),
    );
    figures.forEach((value, s) => {
      dense[s]!.push(value);
    });
  }
  const results: Figures[] = [];
  for (const [s, setting] of settings.entries()) {
    results.push(await summariseOne(setting, parts[s]!, dense[s]!, bootstrap));
  }
  return results;
}

const concatenate = (arrays: Float64Array[]): Float64Array => {
  const out = new Float64Array(arrays.reduce((n, a) => n + a.length, 0));
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
};

async function summariseOne(
  setting: Setting,
  parts: readonly Part[],
  dense: readonly DenseFigures[],
  bootstrap: BootstrapOptions,
): Promise<Figures> {
  const { layers: L, ff } = parts[0]!.context.session.model;
  const seqLen = parts[0]!.context.windows.seqLen;
  const sparsePasses: MaskedPass[] = [];
  const densePasses: MaskedPass[] = [];
  for (const { context, outcome } of parts) {
    sparsePasses.push(await context.masked(outcome.rule, outcome.thresholds));
    densePasses.push(await context.dense());
  }
  const sparseLoss = concatenate(sparsePasses.map((pass) => pass.loss));
  const denseLoss = concatenate(densePasses.map((pass) => pass.loss));
  const windows = sparseLoss.length;
  const totalCount = windows * seqLen * ff;
  const active = Array.from({ length: L }, (_, l) => concatenate(sparsePasses.map((p) => p.active[l]!)));
  const gates = setting.metric === 'zero' ? await gateActive(parts) : undefined;
  const meanOver = (values: (number | undefined)[]) =>
    values.every((value) => value !== undefined && Number.isFinite(value))
      ? average(values as number[])
      : undefined;

  const layers = Array.from({ length: L }, (_, layer): SparsityLayer => {
    const activeCount = total(active[layer]!);
    const activeCountDense = total(dense.map((d) => d.activeCount[layer]!));
    return {
      layer,
      threshold: parts[0]!.outcome.hasThresholds
        ? average(parts.map(({ outcome }) => outcome.thresholds[layer]!))
        : undefined,
      cett: meanOver(dense.map((d) => d.cett?.[layer])),
      cettCalibration: meanOver(parts.map(({ outcome }) => outcome.cettCalibration?.[layer])),
      activationRatio: activeCount / totalCount,
      activeCount,
      totalCount,
      activationRatioDense: activeCountDense / totalCount,
      activeCountDense,
      gateZeroShare: gates && 1 - gates[layer]! / totalCount,
    };
  });

  const perWindow = new Float64Array(windows);
  const rise = new Float64Array(windows);
  for (let w = 0; w < windows; w++) {
    let count = 0;
    for (const row of active) count += row[w]!;
    perWindow[w] = count / (L * seqLen * ff);
    rise[w] = sparseLoss[w]! - denseLoss[w]!;
  }
  const loss = { dense: average(denseLoss), sparse: average(sparseLoss) };
  const ratios = parts.map((_, b) =>
    Math.exp(average(sparsePasses[b]!.loss) - average(densePasses[b]!.loss)),
  );
  const activationRatio = average(layers.map((layer) => layer.activationRatio));
  return {
    definition: METRICS[setting.metric].definition(setting),
    status: parts[0]!.outcome.status,
    activationRatio,
    activationRatioStandardError: bootstrapError(perWindow, bootstrap),
    activationRatioDense: average(layers.map((layer) => layer.activationRatioDense)),
    sparsity: 1 - activationRatio,
    gateZeroShare: gates && average(layers.map((layer) => layer.gateZeroShare!)),
    cett: parts[0]!.outcome.cett,
    perplexity: {
      dense: Math.exp(loss.dense),
      sparse: Math.exp(loss.sparse),
      ratio: average(ratios),
      ratioStandardError: bootstrapError(rise, bootstrap, Math.exp),
    },
    loss,
    layers,
    search: setting.metric === 'pplp' ? parts.flatMap(({ context }) => [...context.trace]) : [],
    crossings: [...parts[0]!.outcome.crossings],
  };
}

/** Gate activations that are not exactly 0, per layer. */
async function gateActive(parts: readonly Part[]): Promise<number[]> {
  const counts: number[][] = [];
  for (const { context } of parts) counts.push((await context.range()).gateActive.map(total));
  return counts[0]!.map((_, layer) => total(counts.map((own) => own[layer]!)));
}
