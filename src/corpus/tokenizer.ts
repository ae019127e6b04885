import { createRequire } from 'node:module';
import { engineError, inputError, SparselawError } from '../errors.js';
import { sha256 } from '../io/hash.js';
import { printable } from '../io/printable.js';
import { hostedBackend } from './hosted-tokenizer.js';
import { type CutRule, cutRule } from './pieces.js';
import type { Backend } from './tokenizer-backend.js';
import {
  isOfKnownMake,
  parseTokenizer,
  readTokenizerFile,
  separatorOf,
  type TokenizerFile,
  vocabSizeOf,
} from './tokenizer-json.js';

/** Text to ids and back. Special tokens written in a text become their id; none are added. */
export interface Tokenizer {
  /** The tokenizer.json, byte for byte. */
  text: string;
  /** SHA-256 of `text`. */
  sha256: string;
  /** One more than the largest id. */
  vocabSize: number;
  /** The token written after each document, if the tokenizer has one of the known names. */
  separator?: { token: string; id: number };
  /** What the tokenizer's own post-processor puts before a text, if anything. */
  bosId?: number;
  /** Where texts may be cut into pieces. */
  cutRule: CutRule;
  /** Which library encodes: the native one, or its slower form in JavaScript where that has no binary. */
  implementation: Implementation;
  encodeBatch(texts: readonly string[]): Promise<Uint32Array[]>;
  decode(ids: ArrayLike<number>): Promise<string>;
  /** Ends the process in which it may run; without it that ends with ours. */
  close(): void;
}

export type Implementation = 'native' | 'javascript';

export interface LoadOptions {
  implementation?: Implementation;
  /** The token written after each document; by default the first of the known names. */
  separator?: string;
}

/**
 * Loads a tokenizer.json.
 * @throws SparselawError (status 3) when the file is missing, no tokenizer, or without the named separator
 */
export async function loadTokenizer(path: string, options: LoadOptions = {}): Promise<Tokenizer> {
  return openTokenizer(await readTokenizerFile(path), options);
}

/** `loadTokenizer` for text in memory; `path` names it in messages. */
export async function tokenizerFromText(
  text: string,
  path: string,
  options: LoadOptions = {},
): Promise<Tokenizer> {
  return openTokenizer(parseTokenizer(text, path), options);
}

async function openTokenizer(file: TokenizerFile, options: LoadOptions): Promise<Tokenizer> {
  const separator = separatorOf(file.json, options.separator);
  if (options.separator !== undefined && !separator) {
    throw inputError(`${printable(file.path)} knows no token "${printable(options.separator)}".`, {
      code: 'unknown-token',
    });
  }
  const { backend, implementation } = await openBackend(file, options.implementation);
  const vocabSize = vocabSizeOf(file.json);
  const bosId = await attempt(file, () => leadingId(backend)).catch((error) => {
    backend.close?.();
    throw error;
  });
  return {
    text: file.text,
    sha256: sha256(file.text),
    vocabSize,
    separator,
    bosId,
    cutRule: cutRule(file.json),
    implementation,
    encodeBatch: (texts) =>
      attempt(file, async () => {
        const encoded = await backend.encode(texts, false);
        for (const ids of encoded) requireWithin(ids, vocabSize);
        return encoded;
      }),
    decode: (ids) => attempt(file, () => backend.decode(Array.from(ids))),
    close: () => backend.close?.(),
  };
}

/** What the libraries throw says what is wrong with the file. @throws SparselawError (status 3) */
async function attempt<T>({ path }: TokenizerFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SparselawError) throw error;
    throw inputError(`${printable(path)} is no tokenizer: ${printable((error as Error).message)}.`, {
      code: 'bad-tokenizer',
      cause: error,
    });
  }
}

/** The library numbers added tokens anew where the file's numbers do not fit. */
function requireWithin(ids: Uint32Array, vocabSize: number): void {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= vocabSize)
      throw new Error(`it gives the id ${ids[i]}, but its largest is ${vocabSize - 1}`);
  }
}

/** The id that stands before a text only when special tokens are added. */
async function leadingId(backend: Backend): Promise<number | undefined> {
  const [plain] = await backend.encode(['a'], false);
  const [special] = await backend.encode(['a'], true);
  return special![0] === plain![0] ? undefined : special![0];
}

async function openBackend(file: TokenizerFile, wanted?: Implementation) {
  const native = wanted === 'javascript' ? undefined : await loadNative();
  if (!native && wanted === 'native') throw noNative();
  const implementation: Implementation = native ? 'native' : 'javascript';
  // Padding and truncation, which a tokenizer.json may carry, would change what is counted.
  const text = JSON.stringify({ ...(JSON.parse(file.text) as object), truncation: null, padding: null });
  const backend = await attempt(file, async () => {
    if (!native) return scriptBackend(text);
    if (isOfKnownMake(file.json)) return nativeBackend(native, text);
    return hostedBackend(createRequire(import.meta.url).resolve('tokenizers'), text, file.path);
  });
  return { backend, implementation };
}

/** The part of the `tokenizers` package that is used here (its own types do not survive `nodenext`). */
interface NativeTokenizer {
  encodeBatch(
    texts: readonly string[],
    options: { addSpecialTokens: boolean },
  ): Promise<{ getIds(): number[] }[]>;
  decode(ids: number[], skipSpecialTokens: boolean): Promise<string>;
}
interface NativeModule {
  Tokenizer: { fromString(text: string): NativeTokenizer };
}

/** The native library, or undefined where it has no binary for this machine. */
async function loadNative(): Promise<NativeModule | undefined> {
  try {
    const module = (await import('tokenizers')) as unknown as { default: NativeModule };
    return module.default;
  } catch {
    return undefined;
  }
}

/** For what only the native library can do. */
export const noNative = () =>
  engineError('The native library of `tokenizers` has no binary for this machine.', {
    code: 'no-tokenizers',
    suggestions: ['Give a tokenizer.json made elsewhere with --tokenizer FILE.'],
  });

function nativeBackend({ Tokenizer }: NativeModule, text: string): Backend {
  const tokenizer = Tokenizer.fromString(text);
  return {
    async encode(texts, addSpecialTokens) {
      const encodings = await tokenizer.encodeBatch(texts, { addSpecialTokens });
      return encodings.map((encoding) => Uint32Array.from(encoding.getIds()));
    },
    decode: (ids) => tokenizer.decode(ids, false),
  };
}

interface ScriptTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
}

async function scriptBackend(text: string): Promise<Backend> {
  const { Tokenizer } = (await import('@huggingface/tokenizers')) as unknown as {
    Tokenizer: new (json: unknown, config: unknown) => ScriptTokenizer;
  };
  const tokenizer = new Tokenizer(JSON.parse(text), {});
  return {
    async encode(texts, addSpecialTokens) {
      return texts.map((part) =>
        Uint32Array.from(tokenizer.encode(part, { add_special_tokens: addSpecialTokens }).ids),
      );
    },
    async decode(ids) {
      return tokenizer.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    },
  };
}
