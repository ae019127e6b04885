import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { metricsRowSchema, provenanceSchema, runPaths } from '../../src/files/run.js';
import { readJson } from '../../src/io/json.js';
import { readJsonl } from '../../src/io/jsonl.js';
import { sweepPaths } from '../../src/sweep/paths.js';
import type { RunView } from '../../src/sweep/status.js';
import { type RunStatus, readStatus } from '../../src/sweep/status-file.js';
import { sparselawHere } from '../cli/in-process.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { type Cluster, slurmLacks, startCluster } from './cluster.js';

const lacks = await slurmLacks();
if (lacks) console.warn(`The Slurm test is skipped: ${lacks}`);

let cluster: Cluster;
let folder: string;
beforeAll(async () => {
  if (lacks) return;
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-sweep-slurm-'));
  await writeTinyCorpus(join(folder, 'corpus'));
  cluster = await startCluster();
  // For the commands of this process, and the test's own look at the queue.
  Object.assign(process.env, cluster.env);
});
afterAll(async () => {
  await cluster?.stop();
  if (folder) await rm(folder, { recursive: true });
});

const RUNS = 6;
const STEPS = 500;

/** Six runs of some seconds each. */
const grid = (data: string) => `
defaults:
  data: ${data}
  layers: 1
  width: 8
  heads: 2
  ff: 12
  seqLen: 8
  batchTokens: 32
  tokens: ${32 * STEPS}
  warmup: 64
  validationTokens: 64
  checkpoints: every:0.1
  learningRate: 0.01
  engine: cpu
product:
  activation: [relu, silu]
  seed: [0, 1, 2]
measure:
  - { metric: zero, tokens: 64 }
slurm:
  time: 5
  throttle: 2
  extra: [--nice=0]
  setup: [export FROM_THE_GRID=1]
`;

it.skipIf(lacks)('ends with every run done and none done twice, though a node and a task die', async () => {
  const data = join(folder, 'corpus');
  await writeFile(join(folder, 'grid.yaml'), grid(data));
  const study = join(folder, 'study');
  const run = (...args: string[]) => sparselawHere(['sweep', ...args], { cwd: folder });
  const statuses = async (): Promise<RunView[]> => {
    const { stdout } = await run('status', study, '--json');
    return (JSON.parse(stdout) as { runs: RunView[] }).runs;
  };

  const submitted = await run('run', 'grid.yaml', '--out', study, '--executor', 'slurm', '--json');
  expect(submitted.stderr).toMatch(/Submitted train as job \d+ \(6 tasks\)/);
  expect(submitted.status).toBe(0);
  const { runs } = JSON.parse(submitted.stdout) as { runs: RunView[] };
  expect(runs).toHaveLength(RUNS);

  // One task on each node, each some way into training.
  const atWork = await waitFor(async () => {
    const now = await statuses();
    const training = now.filter(({ state, progress }) => state === 'running' && (progress?.done ?? 0) > 3200);
    return training.length === 2 ? training : undefined;
  });
  const victim = atWork[0]!;
  process.kill((await statusOf(study, victim.id)).attempts.at(-1)!.pid, 'SIGKILL');
  cluster.killNode('n2');

  // Submitting again while all are queued or running adds no job.
  const again = await run('run', 'grid.yaml', '--out', study, '--executor', 'slurm');
  expect(again.status).toBe(0);

  await waitFor(async () => {
    const now = await statuses();
    expect(now.filter(({ state }) => state === 'failed')).toEqual([]);
    return now.every(({ state }) => state === 'done') || undefined;
  });

  for (const { id } of runs) {
    const status = await statusOf(study, id);
    const path = sweepPaths(study).run(id);
    // One attempt trained it to the end, one measured it, and none worked while another did.
    expect(status.attempts.filter(({ outcome }) => outcome === 'trained')).toHaveLength(1);
    expect(status.attempts.filter(({ outcome }) => outcome === 'done')).toHaveLength(1);
    for (const [i, attempt] of status.attempts.slice(1).entries()) {
      const before = status.attempts[i]!;
      expect(attempt.startedAt >= (before.endedAt ?? before.startedAt)).toBe(true);
    }
    // Every step once.
    const { sessions } = await readJson(runPaths(path).provenance, provenanceSchema);
    expect(sessions.filter(({ outcome }) => outcome === 'done')).toHaveLength(1);
    expect(sessions.at(-1)).toMatchObject({ outcome: 'done', toStep: STEPS });
    const { rows } = await readJsonl(runPaths(path).metrics, metricsRowSchema);
    const steps = rows.filter((row) => 'learning_rate' in row).map(({ step }) => step);
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
    expect(steps.at(-1)).toBe(STEPS);
  }
  const killed = (await statusOf(study, victim.id)).attempts;
  expect(killed[0]!.outcome).toBe('lost');
  expect(killed[1]!.stages).toEqual(['train']);
  // It went on from a checkpoint, not from the start.
  const { sessions } = await readJson(
    runPaths(sweepPaths(study).run(victim.id)).provenance,
    provenanceSchema,
  );
  expect(sessions[1]!.fromStep).toBeGreaterThan(0);

  // The last job writes the table once all are measured.
  const table = await waitFor(() =>
    readFile(join(study, 'table.csv'), 'utf8').then(
      (text) => text,
      () => undefined,
    ),
  );
  for (const { id } of runs) expect(table).toContain(id);
});

it.skipIf(lacks)('finishes around a run that failed, and retries it when told', async () => {
  const short = grid(join(folder, 'corpus'))
    .replace(`tokens: ${32 * STEPS}`, `tokens: ${32 * 20}`)
    .replace('seed: [0, 1, 2]', 'seed: [0]');
  await writeFile(join(folder, 'short.yaml'), short);
  const study = join(folder, 'short');
  const run = (...args: string[]) => sparselawHere(['sweep', ...args, '--json'], { cwd: folder });
  const runsOf = (stdout: string) => (JSON.parse(stdout) as { runs: RunView[] }).runs;
  const states = async () => runsOf((await run('status', study)).stdout).map(({ state }) => state);
  const planned = await run('run', 'short.yaml', '--out', study, '--dry-run', '--rate', 'none');
  const [bad] = runsOf(planned.stdout);
  // Somebody else's folder where the run would be; sweep.json makes the sweep's own folder known as one.
  await writeFile(join(folder, 'first.yaml'), short.replace('[relu, silu]', '[silu]'));
  await run('run', 'first.yaml', '--out', study, '--executor', 'slurm');
  await mkdir(sweepPaths(study).run(bad!.id), { recursive: true });
  await writeFile(join(sweepPaths(study).run(bad!.id), 'notes.txt'), 'mine');

  expect((await run('run', 'short.yaml', '--out', study, '--executor', 'slurm')).status).toBe(0);
  await waitFor(async () => (String(await states()) === 'failed,done' ? true : undefined));
  // The failed one's measuring can never begin; the last job comes all the same.
  const table = join(study, 'table.csv');
  await waitFor(() => stat(table).catch(() => undefined));

  await rm(join(sweepPaths(study).run(bad!.id), 'notes.txt'));
  const retried = await run('retry', study, '--executor', 'slurm');
  expect(retried.stderr).toContain('Submitted train');
  await waitFor(async () => (String(await states()) === 'done,done' ? true : undefined));
  await waitFor(async () => ((await readFile(table, 'utf8')).includes(bad!.id) ? true : undefined));
});

it.skipIf(lacks)('saves and goes back into the queue before the time limit', async () => {
  const data = join(folder, 'corpus');
  const long = grid(data)
    .replace(`tokens: ${32 * STEPS}`, `tokens: ${32 * 100 * STEPS}`)
    .replace(/product:[\s\S]*?measure:/, 'measure:')
    // A limit of one minute; Slurm may send the signal up to a minute earlier than asked.
    .replace('time: 5', 'time: 1\n  saveSeconds: 30');
  await writeFile(join(folder, 'long.yaml'), long);
  const study = join(folder, 'long');
  const run = (...args: string[]) => sparselawHere(['sweep', ...args], { cwd: folder });
  const submitted = await run('run', 'long.yaml', '--out', study, '--executor', 'slurm', '--json');
  const [{ id }] = (JSON.parse(submitted.stdout) as { runs: [RunView] }).runs;
  // Longer than the test: what matters is that it comes back, and back again.
  const { attempts } = await waitFor(async () => {
    const status = await readStatus(study, id);
    return (status?.attempts.length ?? 0) > 2 && status!.progress ? status : undefined;
  }, 550);
  expect(attempts.slice(0, 2).map(({ outcome }) => outcome)).toEqual(['stopped', 'stopped']);
  expect(new Set(attempts.map(({ job }) => job)).size).toBe(1);
  const { sessions } = await readJson(runPaths(sweepPaths(study).run(id)).provenance, provenanceSchema);
  expect(sessions.slice(0, 2).map(({ outcome }) => outcome)).toEqual(['interrupted', 'interrupted']);
  for (const [i, session] of sessions.slice(1, 3).entries()) {
    expect(session.fromStep).toBe(sessions[i]!.toStep);
    expect(session.fromStep).toBeGreaterThan(0);
  }
});

const statusOf = async (study: string, id: string): Promise<RunStatus> => (await readStatus(study, id))!;

/** Looks again and again until there is an answer. */
async function waitFor<T>(look: () => Promise<T | undefined>, seconds = 900): Promise<T> {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(300);
  }
  throw new Error(`nothing after ${seconds} seconds`);
}
