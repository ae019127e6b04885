import { usageError } from '../errors.js';
import { parseQuantity } from '../quantity.js';
import { readProvenance } from '../training/provenance.js';
import { sweepPaths } from './paths.js';
import type { PlannedRun } from './plan.js';
import { readStatus } from './status-file.js';

/** How fast a model of some size was seen to train. */
export interface Rate {
  /** Training FLOPs a token, matrices and attention: what a step's time follows most closely. */
  flopsPerToken: number;
  tokensPerSecond: number;
}

/** Rates, and where they were measured, in words. */
export interface Rates {
  source: string;
  rates: Rate[];
}

/**
 * Seconds of training. Between measured sizes the speed in FLOP/s is interpolated on logarithmic axes; above the
 * largest it stays as it is, below the smallest tokens a second do, since small models are bound by overheads.
 */
export function trainingSeconds(flopsPerToken: number, tokens: number, rates: readonly Rate[]): number {
  return tokens / tokensPerSecond(flopsPerToken, rates);
}

function tokensPerSecond(flops: number, rates: readonly Rate[]): number {
  const sorted = [...rates].sort((a, b) => a.flopsPerToken - b.flopsPerToken);
  const first = sorted[0]!;
  const last = sorted.at(-1)!;
  if (flops <= first.flopsPerToken) return first.tokensPerSecond;
  if (flops >= last.flopsPerToken) return (last.tokensPerSecond * last.flopsPerToken) / flops;
  const above = sorted.findIndex((rate) => rate.flopsPerToken > flops);
  const [low, high] = [sorted[above - 1]!, sorted[above]!];
  const part = Math.log(flops / low.flopsPerToken) / Math.log(high.flopsPerToken / low.flopsPerToken);
  return low.tokensPerSecond * (high.tokensPerSecond / low.tokensPerSecond) ** part;
}

/**
 * `2M:8.4M,8M:3.75M`: tokens a second by parameters outside embedding and head; sizes are placed among the
 * planned runs by their FLOPs a token.
 * @throws SparselawError (status 2) quoting what cannot be read
 */
export function parseRates(text: string, runs: readonly PlannedRun[]): Rates {
  const rates = text.split(',').map((part) => {
    const [parameters, speed] = part.split(':').map((side) => parseQuantity(side));
    if (!parameters || !speed || parameters <= 0 || speed <= 0 || part.split(':').length !== 2) {
      throw usageError(`--rate: "${part}" is not PARAMETERS:TOKENS_PER_SECOND.`, {
        code: 'bad-flag',
        suggestions: ['Write for example --rate 2M:8.4M,8M:3.75M.'],
      });
    }
    return { flopsPerToken: flopsOf(parameters, runs), tokensPerSecond: speed };
  });
  return { source: `given by --rate`, rates };
}

/** FLOPs a token of a model of so many parameters: scaled from the planned run nearest in size. */
function flopsOf(parameters: number, runs: readonly PlannedRun[]): number {
  const distance = ({ plan }: PlannedRun) => Math.abs(Math.log(plan.parameters.nonEmbedding / parameters));
  const nearest = runs.reduce((best, run) => (distance(run) < distance(best) ? run : best));
  const { flopsPerToken, parameters: counts } = nearest.plan;
  return (flopsPerToken.matricesAndAttention * parameters) / counts.nonEmbedding;
}

/** Rates of the sweep's own runs, as far as they were trained; undefined where there are none yet. */
export async function ratesOfRuns(folder: string, ids: readonly string[]): Promise<Rates | undefined> {
  const rates: Rate[] = [];
  const devices = new Set<string>();
  for (const id of ids) {
    const seen = await readStatus(folder, id).catch(() => undefined);
    const provenance = seen && (await readProvenance(sweepPaths(folder).run(id)).catch(() => undefined));
    if (!seen?.tokensPerSecond || !provenance) continue;
    rates.push({ flopsPerToken: provenance.model.flopsPerToken, tokensPerSecond: seen.tokensPerSecond });
    devices.add(provenance.sessions.at(-1)!.deviceDescription);
  }
  if (rates.length === 0) return undefined;
  return { source: `of ${rates.length} runs of this sweep, on ${[...devices].join(', ')}`, rates };
}

/** Trains a few steps of the smallest and the largest run here. */
export async function ratesOfMachine(runs: readonly PlannedRun[], signal: AbortSignal): Promise<Rates> {
  const { measureRate } = await import('../training/measure-rate.js');
  const flops = ({ plan }: PlannedRun) => plan.flopsPerToken.matricesAndAttention;
  const sorted = [...runs].sort((a, b) => flops(a) - flops(b));
  const ends = flops(sorted[0]!) === flops(sorted.at(-1)!) ? [sorted[0]!] : [sorted[0]!, sorted.at(-1)!];
  const rates: Rate[] = [];
  const words: string[] = [];
  for (const run of ends) {
    const measured = await measureRate(run.config, { seconds: MEASURE_SECONDS, signal });
    rates.push({ flopsPerToken: flops(run), tokensPerSecond: measured.tokensPerSecond });
    words[0] = `${measured.engine} (${measured.precision}) on ${measured.deviceDescription}`;
  }
  return { source: `measured now with the smallest and the largest model, ${words[0]}`, rates };
}

/** Enough steps for two digits, little enough to wait for. */
const MEASURE_SECONDS = 3;
