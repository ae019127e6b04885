import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { provenanceSchema, runPaths } from '../../src/files/run.js';
import { readJson } from '../../src/io/json.js';
import { sweepPaths } from '../../src/sweep/paths.js';
import type { RunView } from '../../src/sweep/status.js';
import type { RunStatus } from '../../src/sweep/status-file.js';
import { program } from '../cli/cli.js';
import { createWorkshop, runsOf } from './harness.js';

const { folder, grid, sweep, study, statusOf } = await createWorkshop();
afterAll(() => rm(folder, { recursive: true }));

/** Starts `sweep run` and hands over once the check holds for the runs; what it leaves goes on. */
async function startUntil(args: string[], name: string, check: (runs: RunView[]) => boolean) {
  const child = spawn(process.execPath, [program, 'sweep', ...args], { cwd: folder, stdio: 'ignore' });
  const ended = new Promise<number | null>((done) => child.once('close', done));
  for (let i = 0; i < 100; i++) {
    await sleep(200);
    const answer = await sweep('status', name, '--json').catch(() => undefined);
    if (answer?.status === 0 && check(runsOf(answer))) return { child, ended };
  }
  child.kill('SIGKILL');
  throw new Error('the sweep did not get there');
}

/** No attempt began before the one before it had ended. */
function expectNoOverlap({ attempts }: RunStatus): void {
  for (const [i, attempt] of attempts.slice(1).entries()) {
    expect(attempt.startedAt >= (attempts[i]!.endedAt ?? attempts[i]!.startedAt)).toBe(true);
  }
}

describe('sweep run', () => {
  it('is never two for one run, goes on after an interruption, and tells of a process that was killed', async () => {
    await grid('long.yaml', 700, 'product: { seed: [0, 1] }');
    const args = ['run', 'long.yaml', '--out', 'long', '--parallel', '2'];
    const areTraining = (runs: RunView[]) =>
      runs.every(({ state, progress }) => state === 'running' && (progress?.done ?? 0) > 70 * 32);
    const one = await startUntil(args, 'long', areTraining);
    // Another sweep comes along, and waits for the runs that the first one works on.
    const other = spawn(process.execPath, [program, 'sweep', ...args], { cwd: folder, stdio: 'ignore' });
    const otherEnded = new Promise<number | null>((done) => other.once('close', done));
    await sleep(1500);
    const [killed, stopped] = runsOf(await sweep('status', 'long', '--json')).map(({ id }) => id);
    process.kill((await statusOf('long', killed!)).attempts[0]!.pid, 'SIGKILL');
    one.child.kill('SIGTERM');
    expect(await one.ended).toBe(6);
    await otherEnded;

    // The killed one is a failure with its reason, or was taken over by the other sweep at once.
    const final = async () => runsOf(await sweep('status', 'long', '--json'));
    if ((await final()).some(({ state }) => state === 'failed')) {
      expect((await statusOf('long', killed!)).reason).toMatchObject({
        code: 'died',
        message: expect.stringContaining('SIGKILL (out of memory?)'),
      });
      expect((await sweep('retry', 'long')).status).toBe(0);
    }
    expect((await sweep(...args)).status).toBe(0);
    expect((await final()).map(({ state }) => state)).toEqual(['done', 'done']);
    for (const id of [killed!, stopped!]) {
      const status = await statusOf('long', id);
      expectNoOverlap(status);
      expect(status.attempts.length).toBeGreaterThan(1);
      const path = runPaths(sweepPaths(study('long')).run(id)).provenance;
      const { sessions } = await readJson(path, provenanceSchema);
      expect(sessions.filter(({ outcome }) => outcome === 'done')).toHaveLength(1);
      expect(sessions[0]!.outcome).toBe(id === killed ? 'lost' : 'interrupted');
      expect(sessions[1]!.fromStep).toBeGreaterThan(0);
    }
  }, 180_000);
});
