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
  /** Calls on this thread. `doing` completes "XLA failed …" should the plugin refuse. */
  run(doing: string): Call<Name>;
  /** Calls once for each address in the list that is not 0, written into a field. */
  runEach(field: FieldOf<Name>, addresses: BigUint64Array, doing: string): void;
  /** Calls on a thread of Node's pool: the event loop goes on. */
  runAsync(doing: string): Promise<Call<Name>>;
}

export interface PluginApi {
  readonly path: string;
  /** `major.minor`. */
  readonly version: string;
  readonly minor: number;
  /** Whether the plugin's table holds a function. */
  has(name: FunctionName): boolean;
  prepare<Name extends FunctionName>(name: Name, fields?: Partial<Record<FieldOf<Name>, Word>>): Call<Name>;
  /** Turns an address of a `PJRT_Error` into an error and frees it. */
  failure(error: bigint, doing: string): Error;
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

function createApi(path: string, functions: Functions, minor: number): PluginApi {
  const readError = (error: bigint): { code: number; text: string } => {
    const message = prepare('Error_Message', { error });
    functions.Error_Message!(message.bytes);
    const code = prepare('Error_GetCode', { error });
    functions.Error_GetCode!(code.bytes);
    const text = copyText(message.get('message'), Number(message.get('messageSize')));
    functions.Error_Destroy!(prepare('Error_Destroy', { error }).bytes);
    return { code: code.getInt('code'), text };
  };
  const failure = (error: bigint, doing: string) => {
    const { code, text } = readError(error);
    return pluginFailure(code, text, doing);
  };

  function prepare<Name extends FunctionName>(name: Name, fields: Partial<Record<string, Word>> = {}) {
    const { size, fields: offsets } = LAYOUTS[name];
    const words = new BigUint64Array(size / 8);
    const bytes = new Uint8Array(words.buffer);
    words[0] = BigInt(size);
    // Memory whose address is in the struct must live as long as the struct.
    const held: Partial<Record<string, Word>> = {};
    const native = functions[name];
    const called = (): NativeFunction => {
      if (native) return native;
      throw engineError(`PJRT_${name} is missing in ${basename(path)} (PJRT 0.${minor}).`, {
        code: 'plugin-unimplemented',
      });
    };
    const call = {
      bytes,
      set(field: string, value: Word) {
        const at = offsets[field]! / 8;
        if (typeof value === 'object') {
          held[field] = value;
          words[at] = addressOf(value);
        } else {
          words[at] = BigInt(value);
        }
        return call;
      },
      get: (field: string) => words[offsets[field]! / 8]!,
      getInt: (field: string) => Number(BigInt.asIntN(32, words[offsets[field]! / 8]!)),
      run(doing: string) {
        const error = called()(bytes);
        if (error) throw failure(error, doing);
        return call;
      },
      runEach(field: string, addresses: BigUint64Array, doing: string) {
        const at = offsets[field]! / 8;
        const native = called();
        for (let index = 0; index < addresses.length; index++) {
          if (addresses[index] === 0n) continue;
          words[at] = addresses[index]!;
          const error = native(bytes);
          if (error) throw failure(error, doing);
        }
      },
      runAsync: (doing: string) =>
        new Promise<typeof call>((resolve, reject) => {
          called().async(bytes, (thrown, error) => {
            if (thrown) reject(thrown as Error);
            else if (error) reject(failure(error, doing));
            else resolve(call);
          });
        }),
    };
    for (const field in fields) call.set(field, fields[field]!);
    return call;
  }

  return {
    path,
    version: `${API_MAJOR}.${minor}`,
    minor,
    has: (name) => functions[name] !== undefined,
    prepare: prepare as PluginApi['prepare'],
    failure,
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
