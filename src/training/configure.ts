import { join } from 'node:path';
import { type Config, type ConfigValues, configHash, readConfigFile, resolveConfig } from '../config.js';
import { inputError, usageError } from '../errors.js';
import { readManifest } from '../files/manifest.js';
import { runPaths } from '../files/run.js';
import { pathExists } from '../io/exists.js';
import { printable } from '../io/printable.js';
import { shellWord } from '../io/shell.js';

export interface RunRequest {
  /** A configuration file. */
  config?: string;
  /** Configuration keys from the command line. */
  flags?: ConfigValues;
  /** The run's folder; default: a name made of the model and the configuration's hash, under `runs`. */
  out?: string;
  /** Take the configuration of the run that is there. */
  resume?: boolean;
}

/**
 * The configuration and folder of a run, from what the user gave and, on resume, what the run itself says.
 * @throws SparselawError as `resolveConfig`, or status 3 for a corpus that cannot be read
 */
export async function configureRun(request: RunRequest): Promise<{ config: Config; out: string }> {
  const { flags = {}, resume = false } = request;
  const stored = request.out === undefined ? undefined : runPaths(request.out).config;
  if (resume && stored === undefined) {
    throw usageError('--resume needs the run to continue: --out RUN.', {
      code: 'no-run',
      suggestions: ['sparselaw train --resume --out runs/NAME'],
    });
  }
  const path =
    request.config ?? (resume && stored !== undefined && (await pathExists(stored)) ? stored : undefined);
  const file = path === undefined ? undefined : await readConfigFile(path);
  const data = flags.data ?? file?.values.data;
  if (resume && !file && data === undefined) {
    const run = printable(request.out!);
    throw inputError(`${run} holds no run to continue.`, {
      code: 'no-run',
      suggestions: [`To begin one: sparselaw train --data DIR --out ${shellWord(run)}`],
    });
  }
  // A wrong type is resolveConfig's to report; without a corpus it says what is missing.
  const manifest = typeof data === 'string' ? await readManifest(data) : undefined;
  const config = resolveConfig({
    ...(file ? { file } : {}),
    flags,
    ...(manifest ? { corpusVocabSize: manifest.tokenizer.vocabSize } : {}),
  });
  return { config, out: request.out ?? join('runs', runName(config)) };
}

/** A name for a run, the same for the same configuration. Ten hex digits tell some million of them apart. */
export const runName = (config: Config): string =>
  `${config.activation}-d${config.width}-l${config.layers}-${configHash(config).slice(0, 10)}`;
