import { join } from 'node:path';
import { expect } from 'vitest';
import type { Config } from '../../src/config.js';
import { metricsRowSchema } from '../../src/files/run.js';
import { readJsonl } from '../../src/io/jsonl.js';
import { train } from '../../src/training/train.js';
import { bytesOf } from './run-bytes.js';

/** The loss of each logged step. */
export async function lossesOf(run: string): Promise<number[]> {
  const { rows } = await readJsonl(join(run, 'metrics.jsonl'), metricsRowSchema);
  return rows.flatMap((row) => ('loss_nats_per_token' in row ? [row.loss_nats_per_token] : []));
}

/** Trains once in one go and once interrupted after step 2 and resumed: every file has the same bytes. */
export async function expectExactResume(config: Config, folder: string): Promise<void> {
  const [whole, parts] = ['whole', 'parts'].map((name) => join(folder, `${name}-${config.accumulate}`));
  await train(config, { out: whole! });
  const controller = new AbortController();
  const first = await train(config, {
    out: parts!,
    signal: controller.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 2) controller.abort();
    },
  });
  expect(first.status).toBe('interrupted');
  await train(config, { out: parts!, resume: true });
  const [a, b] = [await bytesOf(whole!), await bytesOf(parts!)];
  // Checkpoints after the interruption have a parent more, which their hashes of files do not see.
  for (const [name, hash] of Object.entries(a)) expect(b[name] === hash, name).toBe(true);
}
