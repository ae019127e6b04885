import koffi, { type LibraryHandle, type TypeObject } from 'koffi';
import { engineError } from '../../../errors.js';

/** What may stand in a 64-bit field: a number, an address, or memory whose address is written. */
export type Word = bigint | number | ArrayBufferView;

// koffi runs native code on stacks of its own. Its default of 128 KiB for asynchronous calls is little for a
// compiler that recurses over a program; pages are only committed when touched.
const STACK_BYTES = 16 * 2 ** 20;
let stacksSized = false;

/** To be called before the first library is opened through koffi, by whoever opens one: later it is refused. */
export function sizeStacks(): void {
  if (stacksSized) return;
  stacksSized = true;
  koffi.config({ sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
}

/** Address of an array's memory, which Node keeps outside of the moving heap. */
export const addressOf = (memory: ArrayBufferView): bigint => BigInt(koffi.address(memory));

/** A copy of `length` bytes at an address. */
export function copyBytes(address: bigint, length: number): Uint8Array<ArrayBuffer> {
  if (address === 0n || length === 0) return new Uint8Array(0);
  return new Uint8Array(koffi.view(address, length).slice(0));
}

export const copyWords = (address: bigint, count: number): bigint[] => [
  ...new BigUint64Array(copyBytes(address, count * 8).buffer),
];

export const copyText = (address: bigint, length: number): string =>
  new TextDecoder().decode(copyBytes(address, length));

export const encodeText = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(new TextEncoder().encode(text));

const RTLD_NOW = 2;
/** Where the two flags differ by system (`dlfcn.h`). */
const FLAGS =
  process.platform === 'darwin' ? { noDelete: 0x80, global: 0x8 } : { noDelete: 0x1000, global: 0x100 };

/**
 * Opens a shared library for the rest of the process. The flag that forbids unloading matters: the threads of a
 * plugin outlive the event loop, and a process whose library is unmapped under them ends in a segmentation fault.
 * @throws SparselawError (status 4) with the loader's own message.
 */
export function openLibrary(path: string, { global = false } = {}): LibraryHandle {
  sizeStacks();
  const process_ = koffi.load(null);
  const dlopen = process_.func('void *dlopen(const char *path, int flags)');
  const dlerror = process_.func('const char *dlerror()');
  if (!dlopen(path, RTLD_NOW | FLAGS.noDelete | (global ? FLAGS.global : 0))) {
    const why: string = dlerror() ?? 'no reason given';
    throw engineError(`${path} cannot be loaded as a shared library: ${why}.`, {
      code: 'plugin-unloadable',
      suggestions: [...suggestionsFor(path, why)],
    });
  }
  return koffi.load(path);
}

/** The loader names either the file itself or a library that it needs. */
function suggestionsFor(path: string, why: string): readonly string[] {
  const missing = /^(\S+): cannot open shared object file/.exec(why)?.[1];
  if (missing !== undefined && missing !== path) {
    return [
      `Install what brings ${missing}, or put its folder into LD_LIBRARY_PATH.`,
      'sparselaw engine install xla-cuda12 (or xla-cuda13) brings the libraries of CUDA along; xla-cpu needs none.',
    ];
  }
  return ['sparselaw engine install xla-cpu', 'Unset SPARSELAW_PJRT_PLUGIN if it names the wrong file.'];
}

/** `fcntl.h`'s command that sets a file's flags. */
const F_SETFD = 2;

/** `execve`: another program in this process; returns only where the system refuses. */
export function replaceProcess(path: string, args: readonly string[], environment: NodeJS.ProcessEnv): void {
  sizeStacks();
  const libc = koffi.load(null);
  const execve = libc.func('int execve(const char *path, const char **arguments, const char **environment)');
  const fcntl = libc.func('int fcntl(int file, int command, ...)');
  // Node marks its standard streams to be closed then.
  for (const stream of [0, 1, 2]) fcntl(stream, F_SETFD, 'int', 0);
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  execve(path, [...args, null], [...variables, null]);
}

export interface NativeFunction {
  readonly address: bigint;
  readonly call: {
    /** Takes the address of the arguments, returns that of an error or 0. */
    (argument: number): number;
    async(argument: number, done: (thrown: unknown, error: number) => void): void;
  };
}

let prototype: TypeObject | undefined;
let deleterPrototype: TypeObject | undefined;

/**
 * Every function of the PJRT table: one pointer to its argument struct in, one error out. To koffi they are numbers,
 * which it carries in a third of the time that an array takes (0.04 and 0.11 µs a call).
 */
export function functionAt(address: bigint): NativeFunction {
  prototype ??= koffi.proto('intptr_t', ['intptr_t']);
  return { address, call: koffi.decode(address, prototype) as NativeFunction['call'] };
}

type ForEach = {
  async(array: number, count: number, size: number, address: bigint, done: () => void): void;
};

let forEach: ForEach | null | undefined;

/**
 * What C++ compilers call to destroy an array (`__cxa_vec_dtor` of the Itanium ABI), from the C++ library that Node
 * is linked with: a loop over a function pointer, so that one call does for hundreds. Null elsewhere.
 */
function findForEach(): ForEach | null {
  try {
    const types = ['intptr_t', 'size_t', 'size_t', 'void *'];
    return koffi.load(null).func('__cxa_vec_dtor', 'void', types) as unknown as ForEach;
  } catch {
    return null;
  }
}

/**
 * Calls a function once for each of the structs side by side, on a thread of Node's pool; nobody sees what it answers.
 * @param first address of the first struct, of `size` bytes; they stay where they are until it is `done`
 */
export function callForEach(
  { address, call }: NativeFunction,
  first: number,
  count: number,
  size: number,
  done: () => void,
): void {
  if (forEach === undefined) forEach = findForEach();
  if (forEach) forEach.async(first, count, size, address, done);
  else {
    for (let i = 0; i < count; i++) call(first + i * size);
    queueMicrotask(done);
  }
}

/** Calls a `void (*)(void *)` that a plugin handed out to free something of its own. */
export function callDeleter(deleter: bigint, holder: bigint): void {
  if (deleter === 0n) return;
  deleterPrototype ??= koffi.proto('void', ['void *']);
  (koffi.decode(deleter, deleterPrototype) as (holder: bigint) => void)(holder);
}
