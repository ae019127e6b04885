import { join } from 'node:path';
import type { Config } from '../config.js';
import { batch, type Windows, windows } from '../corpus/batches.js';
import { openTokens, type TokenSource } from '../corpus/tokens.js';
import { type Manifest, readManifest, TOKENIZER_FILE } from '../files/manifest.js';

/** What a run reads of its corpus. */
export interface TrainingData {
  manifest: Manifest;
  tokenizerPath: string;
  trainTokens: number;
  /** The ids of a step, [batch rows, seqLen + 1]: a function of the configuration and the step alone. */
  batch(step: number): Int32Array;
  validation: Windows;
  /** Mean UTF-8 bytes a validation token stands for. */
  validationBytesPerToken: number;
  close(): void;
}

/**
 * Opens a run's corpus; every byte is checked against its hash.
 * @throws SparselawError (status 3) when the corpus is damaged, or a split is shorter than one window
 */
export async function openTrainingData(config: Config): Promise<TrainingData> {
  const { seqLen, seed, batchTokens, validationTokens, batchOrder: order } = config;
  const opened: TokenSource[] = [];
  const close = () => {
    for (const source of opened) source.close();
  };
  try {
    const manifest = await readManifest(config.data);
    const train = await openTokens(config.data, 'train');
    opened.push(train);
    const held = await openTokens(config.data, 'validation');
    opened.push(held);
    const cap =
      validationTokens === null ? {} : { count: Math.max(1, Math.floor(validationTokens / seqLen)) };
    const batchSize = batchTokens / seqLen;
    return {
      manifest,
      tokenizerPath: join(config.data, TOKENIZER_FILE),
      trainTokens: train.length,
      batch: (step) => batch(train, { seed, step, batchSize, seqLen, order }),
      validation: windows(held, { seqLen, ...cap }),
      validationBytesPerToken: held.bytes / held.length,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
