import { basename } from 'node:path';
import { engineError } from '../../../errors.js';
import { pluginFailure } from './failures.js';
import {
  API_HEADER,
  API_MAJOR,
  API_MINOR_AT_LEAST,
  type FieldOf,
  type FunctionName,
  LAYOUTS,
} from './layouts.js';
import {
  addressOf,
  callForEach,
  copyText,
  copyWords,
  functionAt,
  type NativeFunction,
  openLibrary,
  type Word,
} from './native.js';

/** The argument struct of one function, with its call. Reusable for calls made one after the other. */
export interface Call<Name extends FunctionName> {
  set(field: FieldOf<Name>, value: Word): Call<Name>;
  get(field: FieldOf<Name>): bigint;
  /** The low 32 bits of a field, for C's int and bool. */
  getInt(field: FieldOf<Name>): number;
  /** The struct itself, for calls made at every step: fields are read and written at their `word`. */
  readonly words: BigUint64Array;
  word(field: FieldOf<Name>): number;
  /** Calls on this thread. */
  run(doing: Doing): Call<Name>;
  /** Calls on a thread of Node's pool: the event loop goes on. */
  runAsync(doing: Doing): Promise<Call<Name>>;
  /** The same for those who need no promise. */
  start(doing: Doing, done: (failure?: Error) => void): void;
  /** Calls once for each of `count` structs like this one that lie side by side; refusals go unseen. */
  startEach(structs: BigUint64Array, count: number, done: () => void): void;
}

/** Completes "XLA failed …" should the plugin refuse. */
export type Doing = string | (() => string);

export interface PluginApi {
  readonly path: string;
  /** `major.minor`. */
  readonly version: string;
  readonly minor: number;
  /** Whether the plugin's table holds a function. */
  has(name: FunctionName): boolean;
  prepare<Name extends FunctionName>(name: Name, fields?: Partial<Record<FieldOf<Name>, Word>>): Call<Name>;
  /** How many asynchronous calls have come back: the event loop has had as many turns. */
  readonly turns: number;
}

type Functions = Partial<Record<FunctionName, NativeFunction>>;

const notAPlugin = (path: string, why: string) =>
  engineError(`${path} is no usable PJRT plugin: ${why}.`, {
    code: 'plugin-unusable',
    suggestions: [
      'sparselaw engine install xla-cpu',
      'Unset SPARSELAW_PJRT_PLUGIN if it names the wrong file.',
    ],
  });

const wordCount = (header: bigint[], offset: number) => header[offset / 8]!;
const major32 = (word: bigint) => Number(BigInt.asIntN(32, word));
const minor32 = (word: bigint) => Number(BigInt.asIntN(32, word >> 32n));

/** Largest table believed (the newest known has 138 functions): more means this is no such table. */
const MOST_FUNCTIONS = 4096;

/** Reads `PJRT_Api`, never past the size it declares, and checks that what is needed is there. */
function readTable(path: string, table: bigint): { functions: Functions; minor: number } {
  const header = copyWords(table, API_HEADER.functions / 8);
  const size = wordCount(header, API_HEADER.structSize);
  const version = wordCount(header, API_HEADER.major);
  const [major, minor] = [major32(version), minor32(version)];
  const count = (Number(size) - API_HEADER.functions) / 8;
  if (!Number.isSafeInteger(count) || count < 1 || count > MOST_FUNCTIONS) {
    throw notAPlugin(path, `its function table declares a size of ${size} bytes`);
  }
  if (major !== API_MAJOR || minor < API_MINOR_AT_LEAST) {
    throw notAPlugin(
      path,
      `it speaks PJRT ${major}.${minor}, but ${API_MAJOR}.${API_MINOR_AT_LEAST} or a later ${API_MAJOR}.x is needed`,
    );
  }
  const pointers = copyWords(table, API_HEADER.functions / 8 + count).slice(API_HEADER.functions / 8);
  const functions: Functions = {};
  for (const name of Object.keys(LAYOUTS) as FunctionName[]) {
    const { slot, optional } = LAYOUTS[name];
    const pointer = pointers[slot] ?? 0n;
    if (pointer !== 0n) functions[name] = functionAt(pointer);
    else if (!optional) throw notAPlugin(path, `its table of ${count} functions lacks PJRT_${name}`);
  }
  return { functions, minor };
}

/** What the calls of one plugin share. */
interface Shared {
  readonly functions: Functions;
  /** Turns an address of a `PJRT_Error` into an error and frees it. */
  failure(error: bigint, doing: string): Error;
  /** For a function that the plugin does not have. */
  missing(name: FunctionName): Error;
  /** How many asynchronous calls have come back. */
  turns: number;
}

const inWords = (doing: Doing): string => (typeof doing === 'string' ? doing : doing());

class PreparedCall {
  readonly words: BigUint64Array;
  readonly #shared: Shared;
  readonly #name: FunctionName;
  readonly #address: number;
  /** Memory whose address is in the struct must live as long as the struct. */
  readonly #held: Record<string, ArrayBufferView | undefined> = {};

  constructor(shared: Shared, name: FunctionName) {
    const { size } = LAYOUTS[name];
    this.words = new BigUint64Array(size / 8);
    this.words[0] = BigInt(size);
    this.#shared = shared;
    this.#name = name;
    this.#address = Number(addressOf(this.words));
  }

  #native(): NativeFunction {
    const native = this.#shared.functions[this.#name];
    if (native) return native;
    throw this.#shared.missing(this.#name);
  }

  word(field: string): number {
    return LAYOUTS[this.#name].fields[field]! / 8;
  }

  set(field: string, value: Word): this {
    const isMemory = typeof value === 'object';
    this.#held[field] = isMemory ? value : undefined;
    this.words[this.word(field)] = isMemory ? addressOf(value) : BigInt(value);
    return this;
  }

  get(field: string): bigint {
    return this.words[this.word(field)]!;
  }

  getInt(field: string): number {
    return Number(BigInt.asIntN(32, this.get(field)));
  }

  run(doing: Doing): this {
    const error = this.#native().call(this.#address);
    if (error) throw this.#shared.failure(BigInt(error), inWords(doing));
    return this;
  }

  /** For the functions that answer nothing. */
  tell(): this {
    this.#native().call(this.#address);
    return this;
  }

  start(doing: Doing, done: (failure?: Error) => void): void {
    const shared = this.#shared;
    this.#native().call.async(this.#address, (thrown, error) => {
      shared.turns += 1;
      if (thrown) done(thrown as Error);
      else if (error) done(shared.failure(BigInt(error), inWords(doing)));
      else done();
    });
  }

  runAsync(doing: Doing): Promise<this> {
    return new Promise((resolve, reject) => {
      this.start(doing, (failure) => (failure ? reject(failure) : resolve(this)));
    });
  }

  startEach(structs: BigUint64Array, count: number, done: () => void): void {
    const shared = this.#shared;
    callForEach(this.#native(), Number(addressOf(structs)), count, this.words.byteLength, () => {
      shared.turns += 1;
      // Named here, the structs live until now.
      if (structs) done();
    });
  }
}

function createApi(path: string, functions: Functions, minor: number): PluginApi {
  function prepare<Name extends FunctionName>(name: Name, fields: Partial<Record<string, Word>> = {}) {
    const call = new PreparedCall(shared, name);
    for (const field in fields) call.set(field, fields[field]!);
    return call;
  }
  const shared: Shared = {
    functions,
    failure(error, doing) {
      const message = prepare('Error_Message', { error }).tell();
      const text = copyText(message.get('message'), Number(message.get('messageSize')));
      const code = prepare('Error_GetCode', { error }).tell().getInt('code');
      prepare('Error_Destroy', { error }).tell();
      return pluginFailure(code, text, doing);
    },
    missing: (name) =>
      engineError(`PJRT_${name} is missing in ${basename(path)} (PJRT 0.${minor}).`, {
        code: 'plugin-unimplemented',
      }),
    turns: 0,
  };

  return {
    path,
    version: `${API_MAJOR}.${minor}`,
    minor,
    has: (name) => functions[name] !== undefined,
    prepare: prepare as PluginApi['prepare'],
    get turns() {
      return shared.turns;
    },
  };
}

const loaded = new Map<string, PluginApi>();

/**
 * Loads a plugin (once per process and path) and initialises it.
 * @throws SparselawError (status 4) when the file is no shared library, exports no PJRT table, or one of
 *   another version.
 */
export function loadPlugin(path: string, libraries: readonly string[] = []): PluginApi {
  const known = loaded.get(path);
  if (known) return known;
  for (const library of libraries) openLibrary(library, { global: true });
  const handle = openLibrary(path);
  let getApi: () => bigint | null;
  try {
    getApi = handle.func('void *GetPjrtApi()') as () => bigint | null;
  } catch {
    throw notAPlugin(path, 'it exports no function GetPjrtApi');
  }
  const table = getApi();
  if (!table) throw notAPlugin(path, 'GetPjrtApi returned nothing');
  const { functions, minor } = readTable(path, table);
  const api = createApi(path, functions, minor);
  api.prepare('Plugin_Initialize').run('initialising the plugin');
  loaded.set(path, api);
  return api;
}
