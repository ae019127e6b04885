import type { MeasureContext } from '../context.js';
import type { CensusPass } from '../evaluate.js';
import type { Outcome } from '../metrics/index.js';

/** Who is active under an outcome, on all windows; the profiles of one outcome share the pass. */
const censusOf = (context: MeasureContext, { rule, thresholds }: Outcome): Promise<CensusPass> =>
  context.census(rule, thresholds);

/** How often each neuron is active (Sparsing Law, Fig. 9 and 16); dead ones have frequency 0. */
export async function neuronsProfile(context: MeasureContext, outcome: Outcome) {
  const { neurons } = await censusOf(context, outcome);
  const tokens = context.windows.count * context.windows.seqLen;
  return neurons.flatMap((row, layer) =>
    Array.from(row, (active, neuron) => ({
      layer,
      neuron,
      active_count: active,
      frequency: active / tokens,
    })),
  );
}

/** Mean activation ratio of each vocabulary entry that was an input (Sparsing Law, Fig. 10). */
export async function tokensProfile(context: MeasureContext, outcome: Outcome) {
  const { layers, ff } = context.session.model;
  const { active, count } = (await censusOf(context, outcome)).vocabulary;
  return Array.from(active, (sum, token) => ({
    token,
    count: count[token]!,
    activation_ratio: sum / (count[token]! * layers * ff),
  })).filter((row) => row.count > 0);
}

/** Mean activation ratio of each position of a window. */
export async function positionsProfile(context: MeasureContext, outcome: Outcome) {
  const { layers, ff } = context.session.model;
  const { positions } = await censusOf(context, outcome);
  return Array.from(positions, (sum, position) => ({
    position,
    activation_ratio: sum / (context.windows.count * layers * ff),
  }));
}

/** Share of neurons that a chunk of consecutive tokens needs (chunk-level sparsity of BlockFFN). */
export async function chunksProfile(context: MeasureContext, outcome: Outcome) {
  const { ff } = context.session.model;
  const { chunks } = await censusOf(context, outcome);
  return chunks.flatMap(({ size, count, active }) =>
    active.map((sum, layer) => ({ layer, chunk_tokens: size, activation_ratio: sum / (count * ff) })),
  );
}
