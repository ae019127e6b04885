import { appendFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { MetricsRow } from '../files/run.js';
import { withFile } from '../io/file-error.js';
import { makeFolder } from '../io/make-folder.js';
import { fileVersionRecord, restartRecord, scalarsRecord } from '../io/tensorboard.js';

const FOLDER = 'tensorboard';

/** Scalars of a row of metrics.jsonl, under the names TensorBoard groups them by. */
const TAGS: Readonly<Record<string, string>> = {
  loss_nats_per_token: 'train/loss_nats_per_token',
  learning_rate: 'train/learning_rate',
  gradient_norm: 'train/gradient_norm',
  tokens_per_second: 'train/tokens_per_second',
  validation_loss_nats_per_token: 'validation/loss_nats_per_token',
  validation_bits_per_byte: 'validation/bits_per_byte',
};

export interface TensorboardLog {
  write(rows: readonly MetricsRow[]): Promise<void>;
}

/**
 * Opens an event file of a run for one session, RUN/tensorboard/events.out.tfevents.…; the x axis is the step,
 * with the tokens beside it as a scalar of their own.
 * @param fromStep steps done before; 0 begins the log anew
 */
export async function openTensorboard(run: string, fromStep: number): Promise<TensorboardLog> {
  const folder = join(run, FOLDER);
  const now = () => Date.now() / 1000;
  const path = join(folder, `events.out.tfevents.${Math.floor(now())}.${hostname()}.${process.pid}`);
  await withFile('write', path, async () => {
    if (fromStep === 0) await rm(folder, { recursive: true, force: true });
    await makeFolder(folder);
    const restart = fromStep > 0 ? [restartRecord(now(), fromStep + 1)] : [];
    await writeFile(path, Buffer.concat([fileVersionRecord(now()), ...restart]));
  });
  return {
    async write(rows) {
      const records = rows.map((row) => {
        const known = Object.entries(row).filter(([key]) => key in TAGS);
        const scalars = Object.fromEntries(known.map(([key, value]) => [TAGS[key]!, Number(value)]));
        return scalarsRecord(now(), row.step, { ...scalars, tokens: row.tokens });
      });
      await withFile('write', path, () => appendFile(path, Buffer.concat(records)));
    },
  };
}
