import { engineError } from '../../../errors.js';
import type { PluginApi } from './api.js';
import type { BufferPool } from './buffers.js';
import { compileOptions } from './compile-options.js';
import { describeSpec, elementTypeOf } from './element-types.js';
import { createExecutable } from './executable.js';
import { cacheKeyOf, readCached, writeCached } from './executable-cache.js';
import { PROGRAM } from './layouts.js';
import { addressOf, callDeleter, copyBytes, copyWords, encodeText } from './native.js';
import type { ExecutionQueue } from './queue.js';
import type { CompileSettings, ExecutableMemory, PjrtExecutable, ProgramSource } from './types.js';

interface CompilerParts {
  readonly api: PluginApi;
  readonly client: bigint;
  readonly pool: BufferPool;
  readonly queue: ExecutionQueue;
  /** See `ExecutableParts`. */
  readonly besides: boolean;
  /** XLA options of every program. */
  readonly overrides: NonNullable<CompileSettings['overrides']>;
  /** What beside program and options an executable depends on: plugin, device, versions. */
  readonly cacheKey: readonly string[];
}

export interface Compiler {
  (program: ProgramSource, settings?: CompileSettings): Promise<PjrtExecutable>;
  /** Frees all executables still loaded. */
  disposeAll(): void;
}

const FORMAT = encodeText('mlir');

async function compileText(
  { api, client }: CompilerParts,
  { name, text }: ProgramSource,
  options: Uint8Array<ArrayBuffer>,
): Promise<bigint> {
  const code = encodeText(text);
  const program = new BigUint64Array(PROGRAM.size / 8);
  program[0] = BigInt(PROGRAM.size);
  program[PROGRAM.code / 8] = addressOf(code);
  program[PROGRAM.codeSize / 8] = BigInt(code.length);
  program[PROGRAM.format / 8] = addressOf(FORMAT);
  program[PROGRAM.formatSize / 8] = BigInt(FORMAT.length);
  const call = api.prepare('Client_Compile', {
    client,
    program,
    options,
    optionsSize: options.length,
  });
  const held = [code, FORMAT];
  await call.runAsync(`compiling ${name}`);
  held.length = 0;
  return call.get('executable');
}

/** Runs `use` on the description of a loaded executable and frees the description. */
function withDescription<T>(api: PluginApi, loaded: bigint, use: (executable: bigint) => T): T {
  const executable = api
    .prepare('LoadedExecutable_GetExecutable', { loaded })
    .run('describing a program')
    .get('executable');
  try {
    return use(executable);
  } finally {
    api.prepare('Executable_Destroy', { executable }).run('freeing a description');
  }
}

function serialize(api: PluginApi, loaded: bigint): Uint8Array<ArrayBuffer> {
  return withDescription(api, loaded, (executable) => {
    const call = api.prepare('Executable_Serialize', { executable }).run('serialising a program');
    const bytes = copyBytes(call.get('bytes'), Number(call.get('bytesSize')));
    callDeleter(call.get('deleter'), call.get('holder'));
    return bytes;
  });
}

function optimizedProgram(api: PluginApi, loaded: bigint): Uint8Array {
  return withDescription(api, loaded, (executable) => {
    const program = new BigUint64Array(PROGRAM.size / 8);
    program[0] = BigInt(PROGRAM.size);
    const call = api.prepare('Executable_OptimizedProgram', { executable, program });
    // The first call tells the size, the second one fills the memory.
    call.run('asking for the optimised program');
    const code = new Uint8Array(Number(program[PROGRAM.codeSize / 8]));
    program[PROGRAM.code / 8] = addressOf(code);
    call.run('reading the optimised program');
    return code;
  });
}

function memoryOf(api: PluginApi, executable: bigint): ExecutableMemory | undefined {
  if (!api.has('Executable_GetCompiledMemoryStats')) return undefined;
  const call = api.prepare('Executable_GetCompiledMemoryStats', { executable });
  try {
    call.run('asking for memory statistics');
  } catch {
    return undefined;
  }
  return {
    code: Number(call.get('code')),
    arguments: Number(call.get('arguments')),
    outputs: Number(call.get('outputs')),
    aliased: Number(call.get('aliased')),
    temporary: Number(call.get('temporary')),
  };
}

/** The results a compiled program really has; a wrong declaration would make later reads overrun. */
function checkOutputs(api: PluginApi, executable: bigint, { name, outputs }: ProgramSource): void {
  const types = api.prepare('Executable_OutputElementTypes', { executable }).run(`describing ${name}`);
  const count = Number(types.get('typeCount'));
  if (count !== outputs.length) {
    throw engineError(`${name} has ${count} results, but ${outputs.length} were declared.`, {
      code: 'bad-program',
    });
  }
  const codes = new Int32Array(copyBytes(types.get('types'), count * 4).buffer);
  const shapes = api.prepare('Executable_OutputDimensions', { executable }).run(`describing ${name}`);
  const ranks = copyWords(shapes.get('rankOfEach'), count).map(Number);
  const extents = copyWords(
    shapes.get('dims'),
    ranks.reduce((sum, rank) => sum + rank, 0),
  ).map(Number);
  outputs.forEach(({ elementType, shape }, index) => {
    const actual = describeSpec(
      elementTypeOf(codes[index]!) ?? `type ${codes[index]}`,
      extents.splice(0, ranks[index]!),
    );
    if (actual !== describeSpec(elementType, shape)) {
      throw engineError(
        `${name}: result ${index} is ${actual}, but ${describeSpec(elementType, shape)} was declared.`,
        {
          code: 'bad-program',
        },
      );
    }
  });
}

export function createCompiler(parts: CompilerParts): Compiler {
  const { api, client, pool, queue, besides } = parts;
  const live = new Set<PjrtExecutable>();
  const canCache = api.has('Executable_Serialize') && api.has('Executable_DeserializeAndLoad');

  async function loadCached(key: string): Promise<bigint | undefined> {
    const bytes = await readCached(key);
    if (!bytes) return undefined;
    const call = api.prepare('Executable_DeserializeAndLoad', { client, bytes, bytesSize: bytes.length });
    try {
      await call.runAsync('loading a cached program');
    } catch {
      return undefined; // Written by a plugin that calls itself the same, or damaged past its hash: compile.
    }
    return call.get('executable');
  }

  async function compile(program: ProgramSource, settings: CompileSettings = {}): Promise<PjrtExecutable> {
    const started = performance.now();
    const deviceCount = (settings.replicas ?? 1) * (settings.partitions ?? 1);
    const options = Uint8Array.from(
      compileOptions({ ...settings, overrides: { ...parts.overrides, ...settings.overrides } }),
    );
    const key =
      canCache && settings.cache !== false ? cacheKeyOf(program.text, options, parts.cacheKey) : undefined;
    const cached = key ? await loadCached(key) : undefined;
    const loaded = cached ?? (await compileText(parts, program, options));
    const compileSeconds = (performance.now() - started) / 1000;
    try {
      const memory = withDescription(api, loaded, (executable) => {
        checkOutputs(api, executable, program);
        return memoryOf(api, executable);
      });
      if (key && cached === undefined) await writeCached(key, () => serialize(api, loaded));
      const executable: PjrtExecutable = createExecutable({
        api,
        pool,
        queue,
        program,
        deviceCount,
        loaded,
        besides,
        about: {
          compileSeconds,
          cached: cached !== undefined,
          memory,
          optimizedProgram: () => optimizedProgram(api, loaded),
        },
        onDispose: () => live.delete(executable),
      });
      live.add(executable);
      return executable;
    } catch (failure) {
      api.prepare('LoadedExecutable_Destroy', { executable: loaded }).run('freeing a program');
      throw failure;
    }
  }

  return Object.assign(compile, {
    disposeAll() {
      for (const executable of [...live]) executable.dispose();
    },
  });
}
