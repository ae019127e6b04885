import { type ChildProcess, spawn } from 'node:child_process';
import { inputError } from '../errors.js';
import { printable } from '../io/printable.js';
import type { Backend } from './tokenizer-backend.js';

/**
 * The native library ends its whole process where it did not expect what a file or a text holds (a panic): a
 * tokenizer.json that is not of a known make is given to a process of its own, whose end is then an error like
 * any other. Its argument: the package.
 */
const HOST_SCRIPT = `
const { Tokenizer } = require(process.argv[1]);
let tokenizer;
let characters = 0;
const tasks = {
  load: (text) => { tokenizer = Tokenizer.fromString(text); },
  encode: async (texts, addSpecialTokens) => {
    const encodings = await tokenizer.encodeBatch(texts, { addSpecialTokens });
    const ids = encodings.map((encoding) => Uint32Array.from(encoding.getIds()));
    for (const text of texts) characters += text.length;
    // Encodings hold memory that V8 does not count.
    if (characters > 2 ** 21) { characters = 0; gc(); }
    return ids;
  },
  decode: (ids) => tokenizer.decode(ids, false),
};
process.on('disconnect', () => process.exit());
process.on('message', async ({ id, task, given }) => {
  const answer = { id };
  try { answer.value = await tasks[task](...given); } catch (error) { answer.error = String(error.message); }
  process.send(answer);
});
`;

interface Answer {
  id: number;
  value?: unknown;
  error?: string;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Of what the library says when it ends its process, the part that tells why. */
const PANIC = /panicked at [^\n]*\n([^\n]*)/;

/**
 * A tokenizer in a process of its own, which ends with ours, and does not keep ours from ending.
 * @param library what `require` takes
 * @param path names the file in messages
 * @throws SparselawError (status 3) from every call, once the library has ended its process
 */
export async function hostedBackend(library: string, text: string, path: string): Promise<Backend> {
  const child = spawn(process.execPath, ['--expose-gc', '-e', HOST_SCRIPT, library], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    // Of its own group, so that Ctrl-C in a terminal reaches us alone.
    detached: process.platform !== 'win32',
  });
  const ask = asker(child, path);
  const close = () => {
    child.kill();
  };
  try {
    await ask('load', text);
  } catch (error) {
    close();
    throw error;
  }
  return {
    encode: async (texts, addSpecialTokens) =>
      (await ask('encode', [...texts], addSpecialTokens)) as Uint32Array[],
    decode: async (ids) => (await ask('decode', ids)) as string,
    close,
  };
}

function asker(child: ChildProcess, path: string) {
  const waiting = new Map<number, Waiting>();
  let asked = 0;
  let said = '';
  let ended: Error | undefined;
  const rest = () => {
    if (waiting.size > 0) return;
    child.unref();
    child.channel?.unref();
  };
  child.stderr!.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  // The pipe must not keep us alive either.
  (child.stderr as unknown as { unref(): void }).unref();
  child.on('message', ({ id, value, error }: Answer) => {
    const { resolve, reject } = waiting.get(id)!;
    waiting.delete(id);
    rest();
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  const end = (why: string) => {
    ended = inputError(`${printable(path)} makes the tokenizer library fail: ${printable(why)}.`, {
      code: 'bad-tokenizer',
    });
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  child.on('error', (error) => end(error.message));
  child.on('close', (status, signal) => {
    end(PANIC.exec(said)?.[1]?.replace(/\.$/, '') ?? `it ended with ${signal ?? status}`);
  });
  return (task: string, ...given: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended);
      const id = asked++;
      waiting.set(id, { resolve, reject });
      child.ref();
      child.channel?.ref();
      child.send({ id, task, given }, (error) => {
        // The process has ended: 'close' tells why.
        if (error && ended) reject(ended);
      });
    });
}
