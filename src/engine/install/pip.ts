import { spawn } from 'node:child_process';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { engineError } from '../../errors.js';
import { makeFolder } from '../../io/make-folder.js';
import {
  downloadCommand,
  type PinnedWheel,
  type PluginRecipe,
  requirementOf,
  wheelNameOf,
  wheelOptions,
} from './recipe.js';

interface Outcome {
  readonly status: number | null;
  readonly output: string;
  /** Why the process did not start at all. */
  readonly notStarted?: NodeJS.ErrnoException;
}

/** Longest part of pip's output that is kept. */
const MOST_OUTPUT = 64 * 1024;

/** Runs python3 in a process group of its own, so that an interruption ends what it has started as well. */
function runPython(args: string[], env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn('python3', args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const end = () => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGTERM');
      } catch {
        // It has ended by itself.
      }
    };
    const settle = (outcome: Outcome) => {
      signal?.removeEventListener('abort', end);
      process.removeListener('exit', end);
      resolve(outcome);
    };
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-MOST_OUTPUT);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) settle({ status: null, output, notStarted: error });
    });
    child.on('close', (status) => settle({ status, output }));
    signal?.addEventListener('abort', end);
    process.on('exit', end);
    if (signal?.aborted) end();
  });
}

async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const sizes = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return bytesBelow(path);
    return stat(path).then(
      ({ size }) => size,
      () => 0,
    );
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

const PROGRESS_INTERVAL_MS = 500;

function pipFailure(recipe: PluginRecipe, { output, notStarted }: Outcome) {
  const { name, wheels, archive } = recipe;
  const alone = wheels.length === 1 && !archive;
  const offline = `Or download ${alone ? wheelNameOf(recipe) : 'its wheels'} elsewhere (${downloadCommand(recipe)}) and run: sparselaw engine install ${name} --from ${alone ? 'FILE' : 'FOLDER'}`;
  if (notStarted || /No module named pip\b/.test(output)) {
    const what = notStarted ? 'python3 was not found' : 'this python3 has no pip';
    return engineError(`${recipe.name} is downloaded by Python's pip, but ${what}.`, {
      code: 'pip-missing',
      suggestions: ['Install Python 3 with pip (Debian: apt install python3-pip).', offline],
      cause: notStarted,
    });
  }
  const lines = output.split('\n').map((line) => line.trim());
  const errors = lines.filter((line) => line.startsWith('ERROR:')).map((line) => line.slice(6).trim());
  if (/DO NOT MATCH THE HASHES/.test(output)) {
    return engineError(`What pip downloaded for ${recipe.name} has another SHA-256 than the pinned one.`, {
      code: 'hash-mismatch',
      suggestions: [
        'A mirror or proxy may have changed the file: look at `python3 -m pip config list`.',
        offline,
      ],
      cause: new Error(output),
    });
  }
  const why = errors.at(-1) ?? lines.filter(Boolean).at(-1) ?? 'it said nothing';
  return engineError(`pip could not download ${recipe.name}: ${why.replace(/[.\s]+$/, '')}.`, {
    code: 'pip-failed',
    suggestions: ["Check the network and pip's settings (`python3 -m pip config list`).", offline],
    cause: new Error(output),
  });
}

/**
 * Has pip download one of a recipe's wheels into a folder. The user's own pip settings (mirrors, proxies,
 * certificates) hold; nothing outside of the folder is touched, also on systems that manage Python themselves.
 * `download` and not `install --target`: the file itself is hashed again before anything is unpacked, and pip runs
 * none of what it holds.
 * @throws SparselawError (status 4) when there is no pip, no network, or the wheel's hash is another one
 */
export async function pipDownload(
  recipe: PluginRecipe,
  wheel: PinnedWheel,
  folder: string,
  { signal, onBytes }: { signal?: AbortSignal; onBytes?: (done: number) => void } = {},
): Promise<void> {
  await makeFolder(folder);
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, requirementOf(wheel));
  const args = [
    ...['-m', 'pip', 'download', '--dest', folder, '--require-hashes', ...wheelOptions(recipe)],
    ...['--no-input', '--disable-pip-version-check', '-r', requirements],
  ];
  // pip's own temporary files go below the folder, so that a killed install leaves nothing elsewhere.
  const env = { ...process.env, PIP_REQUIRE_VIRTUALENV: '0', TMPDIR: folder };
  const watch = onBytes
    ? setInterval(() => void bytesBelow(folder).then(onBytes), PROGRESS_INTERVAL_MS)
    : undefined;
  try {
    const outcome = await runPython(args, env, signal);
    signal?.throwIfAborted();
    if (outcome.status !== 0) throw pipFailure(recipe, outcome);
  } finally {
    clearInterval(watch);
  }
}
