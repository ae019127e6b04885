import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sparselaw } from '../cli/cli.js';
import { type Format, formatsOf } from './formats.js';
import { fuzz } from './fuzz.js';
import { prepareTable } from './subjects.js';

/** Each file has at most some hundred thousand bytes. */
const MAX_GROWTH_MIB = 256;

/** Registers a test for each format; `files` is the number for a format of weight 1; `report` prints a line of each. */
export function describeHostileFiles(files: number, seed: number, report = false): void {
  describe('hostile files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sparselaw-hostile-'));
    const study = join(folder, 'study');
    let formats: Format[];
    const lines: string[] = [];
    beforeAll(async () => {
      await prepareTable(study);
      for (const [command, ...rest] of [
        ['table', 'relu', '--out', 'made.parquet'],
        ['fit', 'made.csv', '--law', 'constant', '--all-phases', '--out', 'fit.json'],
      ] as const) {
        const { status, stderr } = await sparselaw([command, ...rest, '--quiet'], { cwd: study });
        if (status !== 0) throw new Error(stderr);
      }
      formats = await formatsOf(study, folder);
    });
    afterAll(() => {
      rmSync(folder, { recursive: true, force: true });
      if (report) console.log([`seed ${seed}`, ...lines].join('\n'));
    });

    it.each(FORMAT_NAMES)('%s is read whole or refused in one line', async (name) => {
      const format = formats.find((candidate) => candidate.name === name)!;
      const result = await fuzz(format, Math.ceil(files * format.weight), seed);
      lines.push(
        `| ${name} | ${result.files} | ${result.refused} | ${result.slowestSeconds.toFixed(2)} | ${Math.round(result.growthMiB)} |`,
      );
      expect(result.failures).toEqual([]);
      expect(result.growthMiB).toBeLessThan(MAX_GROWTH_MIB);
    });

    it('are of every known format', () => {
      expect(formats.map(({ name }) => name)).toEqual(FORMAT_NAMES);
    });
  });
}

const FORMAT_NAMES = `
  tokenizer.json | tokenizer.json of other makes | config.json of a foreign model | config.json of a checkpoint
  state.json | token shard | manifest.json | metrics.jsonl | measurement | provenance.json | config.json of a run
  fit.json | configuration in YAML | grid in YAML | table in CSV | table in Parquet | plain text | text in gzip
  text in xz | text in jsonl | task | safetensors | index of shards | foreign safetensors | sweep.json
  status of a run | lock`
  .split(/[|\n]/)
  .map((name) => name.trim())
  .filter(Boolean);
