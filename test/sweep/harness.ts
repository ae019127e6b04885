import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunView } from '../../src/sweep/status.js';
import { type RunStatus, readStatus } from '../../src/sweep/status-file.js';
import { type Outcome, sparselaw } from '../cli/cli.js';
import { sparselawHere } from '../cli/in-process.js';
import { writeTinyCorpus } from '../training/corpus.js';

const SHAPE =
  'layers: 1, width: 8, heads: 2, ff: 12, seqLen: 8, batchTokens: 32, learningRate: 0.01, logEvery: 1';

/** A temporary folder with a tiny corpus in which sweeps are run as a user would; their tasks are processes either way. */
export async function createWorkshop() {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-sweep-'));
  await writeTinyCorpus(join(folder, 'corpus'));
  const study = (name: string) => join(folder, name);
  return {
    folder,
    study,
    /** Writes a grid file whose runs take `steps` steps on the plain backend: a few hundred a second. */
    grid: (name: string, steps: number, rest: string): Promise<void> =>
      writeFile(
        join(folder, name),
        `defaults: { data: corpus, engine: cpu, ${SHAPE}, tokens: ${32 * steps}, warmup: 64, validationTokens: 64, checkpoints: every:0.2 }
measure: [{ metric: zero, tokens: 64 }]
${rest}
`,
      ),
    /** The command in this process: one at a time. */
    sweep: (...args: string[]): Promise<Outcome> => sparselawHere(['sweep', ...args], { cwd: folder }),
    /** The command in a process of its own: several at a time, and what is killed. */
    sweepApart: (...args: string[]): Promise<Outcome> => sparselaw(['sweep', ...args], { cwd: folder }),
    statusOf: async (name: string, id: string): Promise<RunStatus> => (await readStatus(study(name), id))!,
  };
}

/** The runs that a command of a sweep printed with --json. */
export const runsOf = ({ stdout }: Outcome): RunView[] => (JSON.parse(stdout) as { runs: RunView[] }).runs;
