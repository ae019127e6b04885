import type { Engine } from '../engine/index.js';
import { disposeTree } from '../engine/tree.js';
import { interruptedError } from '../errors.js';
import type { WorkRow } from '../files/evaluation.js';
import type { MeasuredModel } from '../sparsity/model.js';
import { batchTokens } from '../sparsity/prepare.js';
import type { ModelState } from '../sparsity/programs.js';
import type { Windows } from '../sparsity/windows.js';
import type { DownProjections } from './down-projections.js';
import type { Masking } from './scorer.js';
import { unionProgram } from './union-program.js';

/** Tokens taken together: 1 is a single sequence decoded token by token. */
export const GROUP_SIZES = [1, 2, 4, 8, 16, 32] as const;
const LARGEST_GROUP = 32;

/** Predictions a window may have so that the largest batch of windows fits the device. */
export const workWindow = (engine: Engine, seqLen: number): number =>
  Math.max(1, Math.min(seqLen, Math.floor(batchTokens(engine) / LARGEST_GROUP)));

export interface Unions {
  chunk: { size: number; neurons: number }[];
  batch: { size: number; neurons: number }[];
}

/** Share of neurons that groups of tokens need, mean over groups, then over layers. */
export async function countUnions(
  engine: Engine,
  model: MeasuredModel,
  state: ModelState,
  windows: Windows,
  { rule, thresholds }: Masking,
  signal?: AbortSignal,
): Promise<Unions> {
  const { layers, ff } = model;
  const { seqLen, count, ids } = windows;
  const B = Math.min(LARGEST_GROUP, count);
  const sizes = {
    chunks: GROUP_SIZES.filter((size) => size <= seqLen),
    batches: GROUP_SIZES.filter((size) => size <= B),
  };
  // Only whole batches: a padded window would need neurons that no text asked for.
  const calls = Math.floor(count / B);
  const program = engine.compile(unionProgram(model, rule, sizes), {
    name: `union-${rule.id}-${B}x${seqLen}`,
  });
  const limits = engine.upload({
    dtype: 'float32',
    shape: [layers, 1],
    values: Float32Array.from(thresholds),
  });
  const sums = { chunks: sizes.chunks.map(() => 0), batches: sizes.batches.map(() => 0) };
  const width = seqLen + 1;
  try {
    for (let call = 0; call < calls; call++) {
      if (signal?.aborted) throw interruptedError('Stopped; nothing was written.', { code: 'interrupted' });
      const tokens = engine.upload({
        dtype: 'int32',
        shape: [B, width],
        values: ids.slice(call * B * width, (call + 1) * B * width),
      });
      const result = await program.run(state, { tokens, thresholds: limits });
      for (const name of ['chunks', 'batches'] as const) {
        const values = await result[name].data();
        const columns = sizes[name].length;
        for (let i = 0; i < values.length; i++) sums[name][i % columns]! += values[i]!;
      }
      disposeTree([tokens, result]);
    }
  } finally {
    limits.dispose();
    program.dispose();
  }
  const chunkGroups = (size: number) => calls * B * Math.floor(seqLen / size);
  const batchGroups = (size: number) => calls * Math.floor(B / size) * seqLen;
  const share = (sum: number, groups: number) => sum / (groups * layers * ff);
  return {
    chunk: sizes.chunks.map((size, i) => ({ size, neurons: share(sums.chunks[i]!, chunkGroups(size)) })),
    batch: sizes.batches.map((size, i) => ({ size, neurons: share(sums.batches[i]!, batchGroups(size)) })),
  };
}

/**
 * FFN work a token when each group of tokens computes and loads just the neurons that one of them needs.
 * `all`: a predictor, itself free, tells before the FFN runs which neurons are weak, so every matrix loses their
 * rows: no method does better. `downOnly`: h is computed first, as the thresholds ask, so the down projection
 * alone loses its columns. Biases, norms and activations are left out.
 */
export function workOf(
  setting: string,
  unions: Unions,
  ffn: Pick<DownProjections, 'width' | 'ff' | 'gated' | 'bytesPerWeight'> & { layerCount: number },
): WorkRow[] {
  const matrices = ffn.gated ? 3 : 2;
  const matrix = ffn.width * ffn.ff * ffn.layerCount;
  return (['chunk', 'batch'] as const).flatMap((grouping) =>
    unions[grouping]
      // One token is one token, however it is grouped.
      .filter(({ size }) => size > 1 || grouping === 'chunk')
      .map(({ size, neurons }): WorkRow => {
        const amounts = (ofMatrix: number) => ({
          dense: matrices * ofMatrix,
          all: matrices * ofMatrix * neurons,
          downOnly: (matrices - 1 + neurons) * ofMatrix,
        });
        return {
          setting,
          grouping,
          together: size,
          neurons,
          flops: amounts(2 * matrix),
          bytes: amounts((matrix * ffn.bytesPerWeight) / size),
        };
      }),
  );
}
