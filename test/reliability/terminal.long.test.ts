import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program, sparselaw } from '../cli/cli.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { STAYS } from './harness.js';
import { trainArgs } from './subjects.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-terminal-'));
beforeAll(async () => {
  await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const hasScript = spawnSync('script', ['--version']).status === 0;
if (!hasScript) console.warn('Left out: a terminal needs script (util-linux).');
const CTRL_C = '\u0003';
const [WIDE, NARROW] = [100, 44];

/** The one child of a process. */
const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));

/** Trains at a terminal of its own, until its first checkpoint is there. */
async function trainAtTerminal(run: string) {
  const args = trainArgs(run, ['--activation', 'relu']);
  args[args.indexOf('--tokens') + 1] = '3200k';
  args[args.indexOf('--checkpoints') + 1] = '64';
  const line = [process.execPath, program, ...args].join(' ');
  const terminal = spawn('script', ['-qfec', `stty cols ${WIDE} rows 24; exec ${line}`, '/dev/null'], {
    cwd: folder,
    env: { ...process.env, ...STAYS, TERM: 'xterm' },
  });
  let text = '';
  terminal.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const done = new Promise<number | null>((resolve) => terminal.on('close', resolve));
  while (!existsSync(join(folder, run, 'checkpoints/000000000000064'))) await sleep(50);
  return {
    done,
    text: () => text,
    type: (keys: string) => terminal.stdin.write(keys),
    resize: (columns: number) => {
      const device = readlinkSync(`/proc/${childOf(terminal.pid!)}/fd/2`);
      execFileSync('stty', ['-F', device, 'cols', String(columns)]);
    },
  };
}

/** Control sequences by which a terminal cuts what is wider than it, instead of going on in the next row, and back. */
const [CUT, WRAP] = ['\u001b[?7l', '\u001b[?7h'];

describe.skipIf(!hasScript)('at a terminal', () => {
  it('progress stays in one row when it becomes narrow, and Ctrl-C saves with status 6', async () => {
    const { done, text, type, resize } = await trainAtTerminal('resized');
    while (!text().includes('%')) await sleep(50);
    resize(NARROW);
    const before = text().length;
    const isDrawn = () => text().slice(before).split('%').length > 5;
    while (!isDrawn()) await sleep(50);
    const after = text().slice(before);
    type(CTRL_C);
    expect(await done, text()).toBe(6);
    expect(after).not.toContain('\n');
    expect(text().lastIndexOf(CUT, before)).toBeGreaterThanOrEqual(0);
    expect(after).not.toContain(WRAP);
    expect(text().lastIndexOf(WRAP)).toBeGreaterThan(text().lastIndexOf(CUT));
    const words = stripVTControlCharacters(text()).replace(/\s+/g, ' ');
    expect(words).toMatch(/SIGINT: finishing the step in hand and saving.*--resume/);
    const whole = ['checkpoint', 'verify', 'resized'];
    expect((await sparselaw(whole, { cwd: folder })).status).toBe(0);
  });

  it('Ctrl-C twice ends at once with status 6; what was saved is whole', async () => {
    const { done, type } = await trainAtTerminal('twice');
    type(CTRL_C);
    type(CTRL_C);
    expect(await done).toBe(6);
    const whole = ['checkpoint', 'verify', 'twice/checkpoints/000000000000064'];
    expect((await sparselaw(whole, { cwd: folder })).status).toBe(0);
  });
});
