import type { Engine } from '../engine/index.js';
import { sha256 } from '../io/hash.js';
import type { MeasureContext } from './context.js';
import type { CurvePoint } from './curve-point.js';
import type { ProgramCache } from './evaluate.js';
import type { MeasureOptions } from './options.js';
import { CETT_GRID, searchPerplexity } from './perplexity-search.js';
import { type Opened, type Prepared, prepare } from './prepare.js';
import type { Target } from './targets.js';

/** The one CETT value that a group of checkpoints shares (Sparsing Law §1.5, "stabilising strategy"). */
export interface SharedBound {
  /** Identity of the group's weights. */
  weights: string;
  /** The value for a p; searched when first asked for. */
  at(pPercent: number): Promise<number>;
}

/** `targets` are the checkpoints to search on, all on the device together while the search runs. */
export async function sharedBound(
  engine: Engine,
  targets: readonly Target[],
  options: MeasureOptions,
  programs: ProgramCache,
): Promise<SharedBound> {
  const prepared: Prepared[] = [];
  for (const target of targets) prepared.push(await prepare(target, options));
  const found = new Map<number, number>();
  const searchAll = async () => {
    const opened: Opened[] = [];
    let tokens = 0;
    const onTokens = (more: number) => {
      tokens += more;
      const detail = `shared CETT of ${targets.length} checkpoints, ${tokens} tokens through the models`;
      options.onProgress?.({ task: 'measure', done: 0, total: targets.length, unit: 'checkpoints', detail });
    };
    try {
      for (const one of prepared) opened.push(await one.open(engine, programs, onTokens));
      const contexts = opened.flatMap((one) => one.contexts);
      const known: CurvePoint[] = [];
      for (const p of options.p) {
        if (p > 0) found.set(p, await searchBound(contexts, p, options, known));
      }
    } finally {
      for (const { session } of opened) session.dispose();
    }
  };
  return {
    weights: sha256(prepared.map((one) => one.checkpointSha256).join('\n')),
    async at(pPercent) {
      if (!found.has(pPercent)) await searchAll();
      return found.get(pPercent)!;
    },
  };
}

/** One CETT value at which the mean of all contexts' ratios (not of losses, as in the authors' code) is 1 + p/100. */
export async function searchBound(
  contexts: readonly MeasureContext[],
  pPercent: number,
  options: Pick<MeasureOptions, 'protocol' | 'tolerance'>,
  known: CurvePoint[] = [],
): Promise<number> {
  const evaluate = async (cett: number) => {
    let sum = 0;
    for (const context of contexts) sum += Math.exp(await context.logRatio(cett));
    return Math.log(sum / contexts.length);
  };
  if (options.protocol === 'paper') return bisect(evaluate, pPercent, options.tolerance);
  const grids: (readonly CurvePoint[])[] = [];
  for (const context of contexts) grids.push(await context.grid());
  const grid = CETT_GRID.map((cett, i) => ({
    cett,
    logRatio: Math.log(grids.reduce((sum, own) => sum + Math.exp(own[i]!.logRatio), 0) / grids.length),
  }));
  const { cett } = await searchPerplexity(
    { grid, known, evaluate },
    Math.log1p(pPercent / 100),
    options.tolerance,
  );
  return cett;
}

/** The authors' search: bisection of [0, 1] to the tolerance, ending at the midpoint (Algorithm 1). */
async function bisect(
  evaluate: (cett: number) => Promise<number>,
  pPercent: number,
  tolerance: number,
): Promise<number> {
  let [left, right] = [0, 1];
  while (right - left > tolerance) {
    const middle = (left + right) / 2;
    if (Math.exp(await evaluate(middle)) < 1 + pPercent / 100) left = middle;
    else right = middle;
  }
  return (left + right) / 2;
}
