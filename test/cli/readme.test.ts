import { cp, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './cli.js';
import { sparselawHere as sparselaw } from './in-process.js';

const readme = await readFile(join(root, 'README.md'), 'utf8');
/** The tour's size shows a law; a test needs only to see that each command works. */
const smaller = (command: string) =>
  command
    .replace('--tokens 200k', '--seq-len 32 --batch-tokens 512 --tokens 40k')
    .replace('log:20k..200k:6', 'log:5k..40k:6')
    .replace('--p 1', '--p 1 --tokens 2k --calibration-tokens 1k');
const tour = /## Tour\n\n```sh\n([\s\S]*?)```/.exec(readme)![1]!.trim().split('\n');

describe('README', () => {
  it('shows a tour of ten commands', () => {
    expect(tour.length).toBe(10);
    expect(tour.every((command) => command.startsWith('sparselaw '))).toBe(true);
  });

  it('shows commands that run, in its order', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparselaw-tour-'));
    await cp(join(root, 'fixtures'), join(folder, 'fixtures'), { recursive: true });
    for (const command of tour) {
      const { status, stderr } = await sparselaw(smaller(command).split(' ').slice(1), { cwd: folder });
      expect(status, `${command}\n${stderr}`).toBe(0);
    }
  }, 240_000);

  it('names every command of the program', async () => {
    const { stdout } = await sparselaw(['--help']);
    const topics = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1]!);
    expect(topics.length).toBeGreaterThan(8);
    for (const topic of topics) expect(readme).toContain(`\`${topic}`);
  });
});
