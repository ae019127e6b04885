import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { execute, program } from '../cli/cli.js';
import { sparselawHere as sparselaw } from '../cli/in-process.js';
import { writeTinyCorpus } from '../training/corpus.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-signals-'));
beforeAll(async () => {
  await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ENDLESS = [
  ...['--layers', '1', '--width', '8', '--ff', '12', '--heads', '2', '--seq-len', '8', '--engine', 'cpu'],
  ...[
    '--batch-tokens',
    '8',
    '--tokens',
    '3200k',
    '--warmup',
    '64',
    '--validation-tokens',
    '64',
    '--checkpoints',
    '64',
    '--log-every',
    '1',
  ],
];

/** Trains until the first checkpoint is there, then sends the signals and waits for the end. */
function trainUntil(
  name: string,
  signals: NodeJS.Signals[],
): Promise<{ status: number | null; stderr: string }> {
  const args = ['train', '--data', 'corpus', '--out', name, ...ENDLESS];
  return new Promise((done) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const watch = setInterval(() => {
      if (!existsSync(join(folder, name, 'checkpoints/000000000000064'))) return;
      clearInterval(watch);
      for (const signal of signals) child.kill(signal);
    }, 50);
    child.on('close', (status) => {
      clearInterval(watch);
      done({ status, stderr });
    });
  });
}

describe('signals', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s saves, says how to go on and exits 6',
    async (signal) => {
      const { status, stderr } = await trainUntil(signal, [signal]);
      expect(status, stderr).toBe(6);
      expect(stderr).toMatch(/--resume/);
      const { stdout } = await sparselaw(['checkpoint', 'list', signal, '--json'], { cwd: folder });
      expect(JSON.parse(stdout).checkpoints.length).toBeGreaterThan(0);
    },
  );

  it('a second signal ends at once with 6 and leaves the last checkpoint whole', async () => {
    const { status, stderr } = await trainUntil('twice', ['SIGINT', 'SIGTERM']);
    expect(status, stderr).toBe(6);
    const whole = ['checkpoint', 'verify', 'twice/checkpoints/000000000000064'];
    expect((await sparselaw(whole, { cwd: folder })).status).toBe(0);
  });

  it('a terminal that is resized changes nothing', async () => {
    const { status, stderr } = await trainUntil('resized', ['SIGWINCH', 'SIGWINCH', 'SIGINT']);
    expect(status, stderr).toBe(6);
    expect(stderr).toMatch(/--resume/);
  });

  it('a reader that goes away (| head) ends a command in silence', async () => {
    const line = `"${process.execPath}" "${program}" engine list --json | head -c 1; echo " \${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await execute('bash', ['-c', line], { cwd: folder });
    expect(stderr).not.toMatch(/EPIPE|\n\s+at /);
    expect(stdout).toMatch(/^\{ (0|141)$/m);
  });
});
