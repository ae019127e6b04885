import { reshape, slice, type Tensor, tensor, engine as tfjs, tidy } from '@tensorflow/tfjs-core';
import { engineError } from '../errors.js';
import type {
  Collectives,
  Engine,
  EngineName,
  EngineOptions,
  HostTensor,
  Program,
  TensorTree,
} from './engine.js';
import { registerGradients } from './gradients.js';
import { disposeTree, flatten, mapTree } from './tree.js';

/** What an eager engine says of itself; its name is also its tfjs backend's. */
export type EagerFacts = Pick<Engine, 'name' | 'deviceDescription' | 'deterministic' | 'versions'> &
  Partial<Pick<Engine, 'device' | 'precision' | 'prefersFewOps'>>;

/**
 * An engine that runs each function op by op on the tfjs backend of the same name, unless told otherwise on the CPU
 * and in float32.
 * Nothing is compiled: shapes may change between runs, and the first run costs no more than the next.
 * @throws SparselawError (status 4) when the backend cannot start.
 */
export async function openEager(facts: EagerFacts): Promise<Engine> {
  registerGradients();
  if (!(await tfjs().setBackend(facts.name)))
    throw engineError(`The tfjs backend \`${facts.name}\` did not start.`, {
      code: 'engine-unavailable',
      suggestions: ['Run `sparselaw doctor` to see which engines work here.'],
    });
  return {
    device: 'cpu',
    precision: 'float32',
    ...facts,
    devices: 1,
    collectives: ALONE,
    upload: (values) => onBackend(facts.name, () => fromHost(values)),
    compile: (fn, { donate }) => eagerProgram(facts.name, fn, donate ?? false),
    fold,
    memory: () => ({
      liveTensors: tfjs().findBackend(facts.name).numDataIds(),
      bytesInUse: tfjs().memory().numBytes,
    }),
    // The backend stays for the process: tfjs has no way to start a removed one again.
    close: async () => {},
  };
}

/**
 * Refuses what only other engines can do.
 * @throws SparselawError (status 4)
 */
export function refuseUnlessPlainCpu(name: EngineName, options: EngineOptions): void {
  const { device, precision } = options;
  refuseSeveralDevices(name, options);
  if (device === 'cuda')
    throw engineError(`The engine \`${name}\` runs on the CPU only.`, {
      code: 'no-such-device',
      suggestions: ['Leave out --device cuda, or use --engine xla.'],
    });
  if (precision && precision !== 'float32')
    throw engineError(`The engine \`${name}\` computes in float32 only, not in ${precision}.`, {
      code: 'no-such-precision',
      suggestions: ['Use --precision float32, or --engine xla.'],
    });
}

/** @throws SparselawError (status 4) where more than one device is asked for */
export function refuseSeveralDevices(name: EngineName, { devices = 1 }: EngineOptions): void {
  if (devices === 1 || devices === 'all') return;
  throw engineError(`The engine \`${name}\` runs on one device, not on ${devices}.`, {
    code: 'devices',
    suggestions: ['Leave out --devices, or use --engine xla.'],
  });
}

/** One device has nothing to exchange. */
const ALONE: Collectives = {
  sum: (tree) => tree,
  part: (x) => x,
  gather: (parts) => [...parts],
};

/** Copied: tfjs keeps the array that it is given, which stays the caller's. */
const fromHost = ({ values, shape, dtype }: HostTensor): Tensor => tensor(values.slice(), [...shape], dtype);

/** tfjs has one current backend a process; every entry point takes its own, whoever ran before. */
function onBackend<T>(name: string, use: () => T): T {
  // Synchronous in effect: only a backend that never started would be awaited inside.
  if (tfjs().backendName !== name) void tfjs().setBackend(name);
  return use();
}

function eagerProgram<State extends TensorTree, Input extends TensorTree, Result extends TensorTree>(
  backend: string,
  fn: (state: State, input: Input) => Result,
  donate: boolean,
): Program<State, Input, Result> {
  return {
    run: async (state, input) => {
      const result = onBackend(backend, () =>
        tidyTree(() => owned(fn(state, input), [...flatten(state), ...flatten(input)])),
      );
      if (donate) disposeTree(state);
      return result;
    },
    dispose: () => {},
  };
}

/** The fold of the Engine interface as a plain loop that frees each carry once the next is there. */
const fold: Engine['fold'] = (body, carry, inputs) => {
  const length = flatten(inputs)[0]?.shape[0] ?? 0;
  let current = carry;
  for (let i = 0; i < length; i++) {
    const next = tidyTree(() => {
      const row = mapTree(inputs, (t) => reshape(slice(t, i, 1), t.shape.slice(1)));
      return owned(body(current, row), [...flatten(current), ...flatten(row)]);
    });
    if (current !== carry) disposeTree(current);
    current = next;
  }
  return length === 0 ? mapTree(carry, (t) => t.clone()) : current;
};

/** A tree whose tensors are each its own: clones (sharing memory) of those that are inputs or come twice. */
function owned<T extends TensorTree>(tree: T, inputs: readonly Tensor[]): T {
  const taken = new Set(inputs);
  return mapTree(tree, (t) => {
    const mine = taken.has(t) ? t.clone() : t;
    taken.add(mine);
    return mine;
  });
}

/** `tidy` typed for our trees; tfjs's own container type lacks readonly arrays. */
const tidyTree = <T extends TensorTree>(fn: () => T): T => tidy(fn as () => Tensor) as unknown as T;
