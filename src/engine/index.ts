import { channel } from 'node:diagnostics_channel';
import { withFile } from '../io/file-error.js';
import { makeFolder } from '../io/make-folder.js';
import type { Engine, EngineChoice, EngineName, EngineOptions } from './engine.js';

export * from './engine.js';

type Opener = (options: EngineOptions) => Promise<Engine>;

/** Engine modules load their backend when opened, so commands that need no tensors never pay for them. */
const openers: Record<EngineName, Opener> = {
  xla: async (options) => (await import('./xla/index.js')).openXla(options),
  tensorflow: async (options) => (await import('./tensorflow/index.js')).openTensorflow(options),
  wasm: async (options) => (await import('./wasm.js')).openWasm(options),
  cpu: async (options) => (await import('./cpu.js')).openCpu(options),
};

/**
 * Opens an engine by name; `auto` takes the first that works of xla on a GPU, tensorflow on a GPU,
 * xla on CPU, tensorflow on CPU, wasm.
 * @throws SparselawError (status 4) when the engine cannot run here; status 3 when it could not write its programs.
 */
export async function openEngine(choice: EngineChoice, options: EngineOptions = {}): Promise<Engine> {
  const { dumpProgramDir: dumps } = options;
  if (dumps !== undefined) await withFile('write', dumps, () => makeFolder(dumps));
  const engine = await open(choice, options);
  if (dumps !== undefined && engine.name !== 'xla') {
    options.onWarning?.(`The engine ${engine.name} has no program texts; ${dumps} stays empty.`);
  }
  opened.publish(engine);
  return engine;
}

/** Tells whoever watches the process, as a profiler does, which engine it works with. */
const opened = channel('sparselaw:engine');

async function open(choice: EngineChoice, options: EngineOptions): Promise<Engine> {
  if (choice !== 'auto') return openers[choice](options);
  const { openAuto } = await import('./auto.js');
  return openAuto((name, narrowed) => openers[name](narrowed), options);
}
