import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import type { CompileOptions, Precision, Program, TensorTree } from '../index.js';
import { flatten, mapTree, replaceTensors } from '../tree.js';
import type { Fusions, HostArray, XlaBackend } from './backend.js';
import { matchDonations } from './donation.js';
import type { PjrtBuffer, PjrtClient, PjrtExecutable } from './pjrt/index.js';
import { toBfloat16 } from './precision.js';
import { emitModule, type ProgramParameter, type ProgramResult } from './stablehlo.js';
import { type Leaf, type Traced, trace } from './trace.js';
import { describeType, elementOf, sameShape, type TensorType } from './types.js';

/** What an engine's programs share. */
export interface ProgramContext {
  readonly backend: XlaBackend;
  readonly client: PjrtClient;
  readonly precision: Precision;
  /** Fused kernels that the device has for this precision. */
  readonly fusions: Fusions | undefined;
  /** Called with each program's text before it is compiled. */
  readonly onText: (name: string, text: string) => Promise<void>;
}

interface Compiled<Result> {
  readonly executable: PjrtExecutable;
  readonly leaves: readonly Leaf[];
  readonly structure: Result;
}

type Step<State, Input, Result> = (state: State, input: Input) => Result;

/**
 * A function to be recorded and compiled when it is first run; its arguments' shapes and dtypes are fixed then and
 * checked before every execution.
 */
export function createProgram<State extends TensorTree, Input extends TensorTree, Result extends TensorTree>(
  context: ProgramContext,
  fn: Step<State, Input, Result>,
  { name, donate = false }: CompileOptions,
): Program<State, Input, Result> {
  let compiled: Promise<Compiled<Result>> | undefined;
  let disposed = false;
  const { backend, client } = context;
  return {
    async run(state, input) {
      if (disposed) throw engineError(`${name} was run after it was disposed.`, { code: 'disposed-program' });
      compiled ??= compile(context, fn, name, donate, state, input);
      const { executable, leaves, structure } = await compiled;
      const states = flatten(state);
      const tensors = [...states, ...flatten(input)];
      check(name, leaves, tensors);
      const lent = await deviceBuffers(context, name, tensors);
      if (donate) requireSoleOwner(backend, name, leaves, states);
      await client.room();
      const results = executable.execute(lent.buffers);
      for (const buffer of lent.temporary) buffer.dispose();
      if (donate) for (const tensor of states) tensor.dispose();
      let next = 0;
      return replaceTensors(structure, () => backend.bufferTensor(results[next++]!));
    },
    dispose() {
      disposed = true;
      compiled?.then(
        ({ executable }) => executable.dispose(),
        () => {},
      );
    },
  };
}

async function compile<State extends TensorTree, Input extends TensorTree, Result extends TensorTree>(
  { backend, client, precision, fusions, onText }: ProgramContext,
  fn: Step<State, Input, Result>,
  name: string,
  donate: boolean,
  state: State,
  input: Input,
): Promise<Compiled<Result>> {
  const stateLeaves = leavesOf(name, 'state', state);
  const leaves = [...stateLeaves, ...leavesOf(name, 'input', input)];
  const traced = trace(backend, name, fn, [state, input], leaves, fusions);
  const { parameters, results } = inPrecision(traced, precision);
  const resultLeaves = results.map(({ node, name: path }) => ({ path, type: node.type }));
  const plain = stateLeaves.map(({ path, type }) => ({ path: path.replace(/^state\.?/, ''), type }));
  const aliases = donate ? matchDonations(plain, resultLeaves) : [];
  const text = emitModule(
    parameters.map((parameter, i) => ({ ...parameter, aliases: aliases[i] })),
    results,
    { name, exactProducts: precision === 'float32' && client.platform !== 'cpu' },
  );
  await onText(name, text);
  const executable = await client.compile({
    name,
    text,
    inputs: leaves.map(({ type }) => spec(type)),
    outputs: resultLeaves.map(({ type }) => spec(type)),
    donated: aliases.flatMap((alias, i) => (alias === undefined ? [] : [i])),
  });
  return { executable, leaves, structure: traced.structure };
}

/** The recorded program in the arithmetic that was asked for. */
function inPrecision<Result extends TensorTree>(
  { parameters, results }: Traced<Result>,
  precision: Precision,
): { parameters: readonly ProgramParameter[]; results: readonly ProgramResult[] } {
  if (precision !== 'bfloat16') return { parameters, results };
  const narrow = toBfloat16({
    parameters: parameters.map(({ node }) => node),
    results: results.map(({ node }) => node),
  });
  return {
    parameters: parameters.map(({ name }, i) => ({ name, node: narrow.parameters[i]! })),
    results: results.map(({ name }, i) => ({ name, node: narrow.results[i]! })),
  };
}

const spec = ({ element, shape }: TensorType) => ({ elementType: element, shape });

/** The tensors of an argument by their place in it, e.g. `state.weights[0]`. */
function leavesOf(program: string, root: string, tree: TensorTree): Leaf[] {
  const leaves: Leaf[] = [];
  mapTree(tree, (tensor, path) => {
    leaves.push({ path: path ? `${root}.${path}` : root, type: typeOf(program, tensor) });
    return tensor;
  });
  return leaves;
}

function typeOf(program: string, { dtype, shape }: TensorInfo): TensorType {
  const element = elementOf(dtype);
  if (!element)
    throw engineError(`${program} takes no tensors of dtype ${dtype}.`, { code: 'unsupported-dtype' });
  return { element, shape: [...shape] };
}

/** The plugin would read a buffer of another dtype as if it fitted, so everything is compared before. */
function check(program: string, leaves: readonly Leaf[], tensors: readonly Tensor[]): void {
  if (tensors.length !== leaves.length) {
    throw engineError(
      `${program} was compiled for ${leaves.length} tensors and is run with ${tensors.length}.`,
      { code: 'changed-arguments', suggestions: ['Compile another program for other arguments.'] },
    );
  }
  tensors.forEach((tensor, i) => {
    const { path, type } = leaves[i]!;
    if (tensor.isDisposed) {
      throw engineError(`${program}: ${path} was disposed before.`, {
        code: 'disposed-tensor',
        suggestions: ['A donated state is consumed: go on with the returned one.'],
      });
    }
    if (elementOf(tensor.dtype) !== type.element || !sameShape(tensor.shape, type.shape)) {
      const actual = describeType(typeOf(program, tensor));
      throw engineError(
        `${program} was compiled for ${path} of ${describeType(type)} and is run with ${actual}.`,
        {
          code: 'changed-arguments',
          suggestions: ['Compile another program for other shapes, or pad the input.'],
        },
      );
    }
  });
}

interface Lent {
  readonly buffers: PjrtBuffer[];
  /** Uploaded for this execution alone. */
  readonly temporary: PjrtBuffer[];
}

/** The device buffers behind tensors; host values and tensors of other backends are uploaded. */
async function deviceBuffers(
  { backend, client }: ProgramContext,
  program: string,
  tensors: readonly Tensor[],
): Promise<Lent> {
  const buffers: PjrtBuffer[] = [];
  const temporary: PjrtBuffer[] = [];
  for (const tensor of tensors) {
    const value = backend.held(tensor.dataId);
    if (value?.kind === 'buffer') {
      buffers.push(value.buffer);
      continue;
    }
    const values = value?.kind === 'host' ? value.values : ((await tensor.data()) as HostArray);
    const { element, shape } = typeOf(program, tensor);
    const buffer = client.upload(values, element, shape);
    buffers.push(buffer);
    temporary.push(buffer);
  }
  return { buffers, temporary };
}

/** A donated buffer must not be seen through another tensor. */
function requireSoleOwner(
  backend: XlaBackend,
  program: string,
  leaves: readonly Leaf[],
  states: readonly Tensor[],
): void {
  states.forEach((tensor, i) => {
    if (backend.held(tensor.dataId) && backend.refCount(tensor.dataId) > 1) {
      throw engineError(`${program}: ${leaves[i]!.path} is donated but shared with another tensor.`, {
        code: 'shared-donation',
        suggestions: ['Dispose the clone first, or compile without `donate`.'],
      });
    }
  });
}
