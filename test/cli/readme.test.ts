import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './cli.js';
import { sparselawHere as sparselaw } from './in-process.js';

const readme = await readFile(join(root, 'README.md'), 'utf8');
/** The commands of the shell block of a section. */
const block = (section: string): string[] =>
  new RegExp(`## ${section}\\n[\\s\\S]*?\`\`\`sh\\n([\\s\\S]*?)\`\`\``).exec(readme)![1]!.trim().split('\n');
const tour = block('Tour');

/** Sizes and files that show something there; a test needs only to see that each command works. */
const SMALLER: [string, string][] = [
  ['--seq-len 64 --batch-tokens 1024', '--seq-len 32 --batch-tokens 512'],
  ['--tokens 1M', '--tokens 40k'],
  ['log:100k..1M:8', 'log:5k..40k:6'],
  ['--metric pplp --p 1', '--metric pplp --p 1 --tokens 2k --calibration-tokens 1k'],
  ['--p 1,5,10', '--p 5 --text short.txt'],
  ['piqa.jsonl', 'fixtures/downstream/tasks/piqa-style.jsonl'],
  ['lambada.jsonl', 'fixtures/downstream/tasks/lambada-style.jsonl'],
];
const smaller = (command: string) =>
  SMALLER.reduce((text, [large, small]) => text.replace(large, small), command);
/** A command line as a shell splits it; only double quotes occur. */
const words = (command: string) => command.match(/"[^"]*"|\S+/g)!.map((word) => word.replaceAll('"', ''));

/** What is not run here, and the test that runs it. */
const ELSEWHERE: Record<string, string> = {
  'make demo': 'test/cli/pack.test.ts, at its smallest preset',
  'make test': 'this is it',
  'sparselaw sweep run grid.yaml --out study --dry-run': 'test/cli/sweep.test.ts',
  'sparselaw sweep run grid.yaml --out study --parallel 2': 'test/sweep/sweep.test.ts, with a smaller grid',
  'sparselaw sweep status study': 'test/sweep/sweep.test.ts',
  'sparselaw sweep retry study': 'test/sweep/sweep.test.ts',
  'sparselaw engine install xla-cpu': 'test/engine/install/install.test.ts, from a wheel of its own',
  'sparselaw engine install tensorflow': 'test/engine/tensorflow/install.tensorflow.test.ts',
  'sparselaw engine install xla-cuda13': 'downloads for a GPU: nothing to run it on here',
  'sparselaw evaluate CKPT --work --p 1': 'the longer form is run below',
};

describe('README', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparselaw-tour-'));
    await cp(join(root, 'fixtures'), join(folder, 'fixtures'), { recursive: true });
    const text = await readFile(join(root, 'fixtures/tinybooks.valid.txt'), 'utf8');
    await writeFile(join(folder, 'short.txt'), text.slice(0, 6000));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const run = async (command: string) => {
    const { status, stderr } = await sparselaw(words(smaller(command)).slice(1), { cwd: folder });
    expect(status, `${command}\n${stderr}`).toBe(0);
  };

  it('shows a tour of ten commands', () => {
    expect(tour.length).toBe(10);
    expect(tour.every((command) => command.startsWith('sparselaw '))).toBe(true);
  });

  it('shows commands that run, in its order, the downstream ones last', async () => {
    for (const command of tour) await run(command);
    const [evaluate, exporting] = block('Downstream');
    await run(evaluate!);
    const names = (await readdir(join(folder, 'runs/relu/sparsity'))).filter((name) =>
      name.endsWith('.json'),
    );
    await run(exporting!.replace('MEASUREMENT.json', names.sort().at(-1)!));
  }, 240_000);

  it('shows no command that no test runs', () => {
    const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, text]) =>
      text!.trim().split('\n'),
    );
    const inline = [...readme.matchAll(/`(sparselaw [^`]+)`/g)].map((match) => match[1]!);
    const runHere = new Set([...tour, ...block('Downstream')]);
    const left = [...blocks, ...inline].filter((command) => !runHere.has(command));
    expect(new Set(left)).toEqual(new Set(Object.keys(ELSEWHERE)));
  });

  it('names every command of the program', async () => {
    const { stdout } = await sparselaw(['--help']);
    const topics = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1]!);
    expect(topics.length).toBeGreaterThan(8);
    for (const topic of topics) expect(readme).toContain(`\`${topic}`);
  });
});
