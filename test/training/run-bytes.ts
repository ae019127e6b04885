import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { metricsRowSchema } from '../../src/files/run.js';
import { sha256 } from '../../src/io/hash.js';
import { readJsonl } from '../../src/io/jsonl.js';

/**
 * Hashes of everything of a run that must not depend on how often it was stopped: every file of every
 * checkpoint (of state.json, which holds seconds, what is no time and no hash of one) and the log without times.
 */
export async function bytesOf(run: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of (await readdir(join(run, 'checkpoints'))).sort()) {
    for (const file of await readdir(join(run, 'checkpoints', name))) {
      const bytes = await readFile(join(run, 'checkpoints', name, file));
      if (file === 'state.json') {
        const { step, tokens, loader, files: hashes, tensors } = JSON.parse(bytes.toString());
        files[`${name}/${file}`] = sha256(JSON.stringify({ step, tokens, loader, hashes, tensors }));
      } else files[`${name}/${file}`] = sha256(bytes);
    }
  }
  const { rows } = await readJsonl(join(run, 'metrics.jsonl'), metricsRowSchema);
  files.metrics = JSON.stringify(rows.map((row) => ({ ...row, elapsed_seconds: 0, tokens_per_second: 0 })));
  return files;
}
