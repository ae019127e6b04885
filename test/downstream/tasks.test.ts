import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type Tokenizer } from '../../src/corpus/tokenizer.js';
import { requestsOf } from '../../src/downstream/requests.js';
import { readTask } from '../../src/downstream/tasks.js';

let folder: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-tasks-'));
  tokenizer = await loadTokenizer(
    resolve(import.meta.dirname, '../../fixtures/downstream/checkpoint/tokenizer.json'),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function taskOf(...lines: (object | string)[]) {
  const path = join(folder, 'task.jsonl');
  await writeFile(
    path,
    lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''),
  );
  return readTask(path);
}

describe('formats', () => {
  it.each([
    ['piqa', { goal: 'G', sol1: 'a', sol2: 'bcd', label: 1 }, 'Question: G\nAnswer:', [' a', ' bcd'], 1],
    [
      'hellaswag',
      {
        activity_label: 'A',
        ctx_a: 'One [step] two.',
        ctx_b: 'hE',
        endings: ['x [title] Y', 'z'],
        label: '0',
      },
      'A: One two. He',
      [' x. Y', ' z'],
      0,
    ],
    ['choices', { context: 'C', choices: ['a', 'b', 'c'], label: 2 }, 'C', [' a', ' b', ' c'], 2],
    ['target', { context: 'C', target: 'two words' }, 'C', [' two words'], 0],
    ['lambada', { text: 'the last word\n' }, 'the last', [' word'], 0],
  ])('%s', async (format, line, context, answers, label) => {
    const { format: found, items } = await taskOf(line, '');
    expect(found).toBe(format);
    const lengths = answers.map((answer) => answer.length - 1);
    expect(items).toEqual([{ line: 1, context, answers, lengths, label }]);
  });

  it.each<[string, (object | string)[], RegExp]>([
    ['an unknown format', [{ question: 'x' }], /line 1: the keys question are of no known format/],
    [
      'a label out of range',
      [{ context: 'C', choices: ['a', 'b'], label: 2 }],
      /line 1: label 2 names none of 2/,
    ],
    ['mixed formats', [{ text: 'a b' }, { goal: 'x' }], /line 2.*text/],
    ['a single word', [{ text: 'word' }], /line 1.*two words/],
    ['an empty context', [{ context: ' ', target: 'a' }], /line 1.*context.*empty/],
    ['no items', [''], /holds no items/],
    ['broken JSON', ['{"text": "a b"}', '{"text"', '{}'], /line 2/],
    ['something else than an object', ['[1]'], /line 1/],
  ])('refuses %s, naming the line', async (_, lines, message) => {
    await expect(taskOf(...lines)).rejects.toThrow(message);
    await expect(taskOf(...lines)).rejects.toMatchObject({ exitStatus: 3 });
  });
});

describe('requests', () => {
  const options = { maxLength: 64, vocabSize: 512 };
  const ids = async (text: string) => [...(await tokenizer.encodeBatch([text]))[0]!];

  it('predicts what follows the context, and counts blanks at its end to the answer', async () => {
    for (const context of ['She looked at', 'She looked at ']) {
      const task = await taskOf({ context, target: 'the sea' });
      const { sequences } = await requestsOf(task, tokenizer, options);
      const [{ ids: found, answer }] = sequences as [(typeof sequences)[0]];
      expect([...found]).toEqual(await ids(`${context} the sea`));
      expect(answer).toBe(found.length - (await ids('She looked at')).length);
    }
  });

  it('puts a BOS in front once', async () => {
    const task = await taskOf({ context: 'She looked at', target: 'him' });
    const plain = await requestsOf(task, tokenizer, options);
    const bosId = plain.sequences[0]!.ids[0]!;
    const other = await requestsOf(task, tokenizer, { ...options, bosId: bosId + 1 });
    expect([...other.sequences[0]!.ids]).toEqual([bosId + 1, ...plain.sequences[0]!.ids]);
    expect(other.sequences[0]!.answer).toBe(plain.sequences[0]!.answer);
    const same = await requestsOf(task, tokenizer, { ...options, bosId });
    expect(same.sequences).toEqual(plain.sequences);
  });

  it('cuts long contexts on the left, and refuses long answers', async () => {
    const task = await taskOf({ context: 'one two three four five six seven', target: 'eight' });
    const whole = await requestsOf(task, tokenizer, options);
    const { ids: all, answer } = whole.sequences[0]!;
    expect(whole.truncated).toBe(0);
    const cut = await requestsOf(task, tokenizer, { ...options, maxLength: answer });
    expect(cut.truncated).toBe(1);
    expect([...cut.sequences[0]!.ids]).toEqual([...all.slice(-(answer + 1))]);
    await expect(requestsOf(task, tokenizer, { ...options, maxLength: answer - 1 })).rejects.toThrow(
      /line 1: an answer has \d+ tokens, but the model reads/,
    );
  });

  it('refuses tokens that the model does not know', async () => {
    const task = await taskOf({ context: 'She looked at', target: 'him' });
    await expect(requestsOf(task, tokenizer, { ...options, vocabSize: 10 })).rejects.toThrow(/line 1 gives/);
  });
});
