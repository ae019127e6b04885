import { Tensor, type TensorInfo } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import type { CompileOptions, Precision, Program, TensorTree } from '../engine.js';
import { flatten, mapTree, replaceTensors } from '../tree.js';
import type { DeviceValue, Fusions, XlaBackend } from './backend.js';
import { CarriedState, carriedBy, carriedTree } from './carried.js';
import { matchDonations } from './donation.js';
import { withOwnKernels } from './own-kernels.js';
import type { PjrtClient, PjrtExecutable, PjrtInputs, PjrtResults } from './pjrt/index.js';
import { axisOf, partOf, type Split, wholeOf } from './placement.js';
import { toBfloat16 } from './precision.js';
import { emitModule, type ProgramParameter, type ProgramResult } from './stablehlo.js';
import { type Leaf, type Traced, trace } from './trace.js';
import { describeType, elementOf, type HostArray, sameShape, sameType, type TensorType } from './types.js';
import { namingUnsupported } from './unsupported.js';
import { toDevices } from './upload.js';

/** What an engine's programs share. */
export interface ProgramContext {
  readonly backend: XlaBackend;
  readonly client: PjrtClient;
  /** How many devices each program runs on. */
  readonly devices: number;
  readonly precision: Precision;
  /** Fused kernels that the device has for this precision. */
  readonly fusions: Fusions | undefined;
  /** Called with each program's text before it is compiled. */
  readonly onText: (name: string, text: string) => Promise<void>;
}

/** An argument or result of a program; as a leaf it has the type that one device sees. */
interface Placed extends Leaf {
  readonly whole: TensorType;
  readonly split: Split;
}

interface Compiled<Result> {
  readonly executable: PjrtExecutable;
  readonly leaves: readonly Placed[];
  readonly results: readonly Placed[];
  readonly structure: Result;
  /** The part of the results that may be the next run's state as it is: under which key, and which of them. */
  readonly carried: CarriedRange | undefined;
  /** Where there is one: the other arguments. */
  readonly others: readonly Placed[];
  /** Where there is one: the results by their keys. */
  readonly parts: readonly ResultPart[];
}

interface ResultPart {
  readonly key: string;
  readonly tree: TensorTree;
  /** The first of its results. */
  readonly from: number;
}

interface CarriedRange {
  readonly key: string;
  readonly from: number;
  readonly count: number;
}

type Step<State, Input, Result> = (state: State, input: Input) => Result;

/**
 * A function to be recorded and compiled when it is first run; its arguments' shapes and dtypes are fixed then and
 * checked before every execution.
 */
export function createProgram<State extends TensorTree, Input extends TensorTree, Result extends TensorTree>(
  context: ProgramContext,
  fn: Step<State, Input, Result>,
  options: CompileOptions,
): Program<State, Input, Result> {
  let compiled: Promise<Compiled<Result>> | undefined;
  let ready: Compiled<Result> | undefined;
  let disposed = false;
  const { backend, client, devices } = context;
  const { name, donate = false } = options;
  return {
    async run(state, input) {
      if (disposed) throw engineError(`${name} was run after it was disposed.`, { code: 'disposed-program' });
      compiled ??= compile(context, fn, options, state, input);
      ready ??= await compiled;
      const program = ready;
      const { executable, leaves } = program;
      const known = carriedBy(state);
      const carried = known?.owner === program && known.untouched ? known : undefined;
      const states = carried ? [] : flatten(state);
      const tensors = carried ? flatten(input) : [...states, ...flatten(input)];
      // What the program itself returned was compared with what it takes when it was compiled.
      check(backend, name, carried ? program.others : leaves, tensors);
      const lent = onDevices(backend, tensors) ?? (await deviceValues(context, name, tensors));
      if (donate) requireSoleOwner(backend, name, leaves, states);
      const room = client.room();
      if (room) await room;
      const running = executable.executeOnDevices(inputsOf(program, devices, carried, lent.values));
      const rows = running instanceof Promise ? await running : running;
      for (const { buffers } of lent.temporary) for (const buffer of buffers) buffer.dispose();
      carried?.consume();
      if (donate) for (const tensor of states) tensor.dispose();
      return returned(backend, program, rows);
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

/** What each device takes. */
function inputsOf(
  { carried: range }: Compiled<TensorTree>,
  devices: number,
  carried: CarriedState | undefined,
  values: readonly DeviceValue[],
): PjrtInputs[] {
  const inputs: PjrtInputs[] = [];
  for (let device = 0; device < devices; device++) {
    const buffers = values.map((value) => value.buffers[device]!);
    if (!carried) inputs.push({ buffers });
    else {
      const { from, count } = range!;
      inputs.push({ carried: { results: carried.results[device]!, from, count }, buffers });
    }
  }
  return inputs;
}

/** The results of an execution as the tree that the function returns; a state of its own as one object. */
function returned<Result extends TensorTree>(
  backend: XlaBackend,
  program: Compiled<Result>,
  rows: readonly PjrtResults[],
): Result {
  const { results, structure, carried, parts } = program;
  const tensorAt = (index: number): Tensor => {
    const { whole, split } = results[index]!;
    return backend.deviceTensor({ type: whole, buffers: rows.map((row) => row.at(index)), split });
  };
  const tensorsFrom = <T extends TensorTree>(tree: T, from: number): T => {
    let next = from;
    return replaceTensors(tree, () => tensorAt(next++));
  };
  if (!carried) return tensorsFrom(structure, 0);
  const tree: Record<string, TensorTree> = {};
  for (const { key, tree: part, from } of parts) {
    tree[key] =
      key === carried.key
        ? carriedTree(new CarriedState(program, rows, () => tensorsFrom(part, from)))
        : part instanceof Tensor
          ? tensorAt(from)
          : tensorsFrom(part, from);
  }
  return tree as Result;
}

/** A returned object by its keys; nothing for other trees. */
function resultParts(structure: TensorTree): ResultPart[] {
  if (structure instanceof Tensor || Array.isArray(structure)) return [];
  let from = 0;
  return Object.entries(structure).map(([key, tree]) => {
    const part = { key, tree, from };
    from += flatten(tree).length;
    return part;
  });
}

/** The tree among a function's results, next to others, that has the leaves of its donated state. */
function carriedRange(
  parts: readonly ResultPart[],
  states: readonly Placed[],
  results: readonly Placed[],
): CarriedRange | undefined {
  for (const { key, tree, from } of parts) {
    const fits = states.every((leaf, i) => {
      const result = results[from + i];
      return result && sameType(leaf.type, result.type) && leaf.split === result.split;
    });
    const { length: count } = flatten(tree);
    if (!(tree instanceof Tensor) && count === states.length && fits) return { key, from, count };
  }
  return undefined;
}

async function compile<State extends TensorTree, Input extends TensorTree, Result extends TensorTree>(
  { backend, client, devices, precision, fusions, onText }: ProgramContext,
  fn: Step<State, Input, Result>,
  { name, donate = false, splitResults }: CompileOptions,
  state: State,
  input: Input,
): Promise<Compiled<Result>> {
  const place = (root: string, tree: TensorTree) => leavesOf(backend, devices, name, root, tree);
  const stateLeaves = place('state', state);
  const leaves = [...stateLeaves, ...place('input', input)];
  const traced = await namingUnsupported(name, backend, () =>
    trace(backend, name, fn, [state, input], leaves, fusions),
  );
  const { parameters, results } = lowered(traced, precision, fusions);
  const resultLeaves = results.map(({ node, name: path }): Placed => {
    const axis = devices === 1 ? undefined : splitResults?.(path);
    const split = axis === undefined ? undefined : axisOf(axis, node.type.shape.length);
    return { path, type: node.type, split, whole: wholeOf(node.type, split, devices) };
  });
  const plain = stateLeaves.map(({ path, type }) => ({ path: path.replace(/^state\.?/, ''), type }));
  const aliases = donate ? matchDonations(plain, resultLeaves) : [];
  const text = emitModule(
    parameters.map((parameter, i) => ({ ...parameter, aliases: aliases[i] })),
    results,
    { name, devices, exactProducts: precision === 'float32' && client.platform !== 'cpu' },
  );
  await onText(name, text);
  const source = {
    name,
    text,
    inputs: leaves.map(({ type }) => spec(type)),
    outputs: resultLeaves.map(({ type }) => spec(type)),
    donated: aliases.flatMap((alias, i) => (alias === undefined ? [] : [i])),
  };
  const executable = await client.compile(source, { replicas: devices });
  const { structure } = traced;
  const parts = resultParts(structure);
  const carried = donate ? carriedRange(parts, stateLeaves, resultLeaves) : undefined;
  const others = leaves.slice(stateLeaves.length);
  return { executable, leaves, results: resultLeaves, structure, carried, others, parts };
}

/** The recorded program in the arithmetic that was asked for, with the kernels of our own that its device takes. */
function lowered<Result extends TensorTree>(
  { parameters, results }: Traced<Result>,
  precision: Precision,
  fusions: Fusions | undefined,
): { parameters: readonly ProgramParameter[]; results: readonly ProgramResult[] } {
  if (precision !== 'bfloat16') return { parameters, results };
  const narrow = toBfloat16({
    parameters: parameters.map(({ node }) => node),
    results: results.map(({ node }) => node),
  });
  const fused = fusions?.kernels ? withOwnKernels(narrow, fusions.kernels) : narrow;
  return {
    parameters: parameters.map(({ name }, i) => ({ name, node: fused.parameters[i]! })),
    results: results.map(({ name }, i) => ({ name, node: fused.results[i]! })),
  };
}

const spec = ({ element, shape }: TensorType) => ({ elementType: element, shape });

/** The tensors of an argument by their place in it, e.g. `state.weights[0]`. */
function leavesOf(
  backend: XlaBackend,
  devices: number,
  program: string,
  root: string,
  tree: TensorTree,
): Placed[] {
  const leaves: Placed[] = [];
  mapTree(tree, (tensor, path) => {
    const whole = typeOf(program, tensor);
    const split = splitOf(backend, tensor);
    const type = partOf(whole, split, devices);
    leaves.push({ path: path ? `${root}.${path}` : root, type, whole, split });
    return tensor;
  });
  return leaves;
}

function splitOf(backend: XlaBackend, { dataId }: TensorInfo): Split {
  const value = backend.held(dataId);
  return value?.kind === 'device' ? value.split : undefined;
}

function typeOf(program: string, { dtype, shape }: TensorInfo): TensorType {
  const element = elementOf(dtype);
  if (!element)
    throw engineError(`${program} takes no tensors of dtype ${dtype}.`, { code: 'unsupported-dtype' });
  return { element, shape: [...shape] };
}

/** The plugin would read a buffer of another dtype as if it fitted, so everything is compared before. */
function check(
  backend: XlaBackend,
  program: string,
  leaves: readonly Placed[],
  tensors: readonly Tensor[],
): void {
  if (tensors.length !== leaves.length) {
    throw engineError(
      `${program} was compiled for ${leaves.length} tensors and is run with ${tensors.length}.`,
      { code: 'changed-arguments', suggestions: ['Compile another program for other arguments.'] },
    );
  }
  tensors.forEach((tensor, i) => {
    const { path, whole, split } = leaves[i]!;
    if (tensor.isDisposed) {
      throw engineError(`${program}: ${path} was disposed before.`, {
        code: 'disposed-tensor',
        suggestions: ['A donated state is consumed: go on with the returned one.'],
      });
    }
    if (elementOf(tensor.dtype) !== whole.element || !sameShape(tensor.shape, whole.shape)) {
      const actual = describeType(typeOf(program, tensor));
      throw engineError(
        `${program} was compiled for ${path} of ${describeType(whole)} and is run with ${actual}.`,
        {
          code: 'changed-arguments',
          suggestions: ['Compile another program for other shapes, or pad the input.'],
        },
      );
    }
    if (splitOf(backend, tensor) !== split) {
      throw engineError(`${program} was compiled for ${path} lying otherwise on the devices.`, {
        code: 'changed-arguments',
        suggestions: ['Upload it with the `split` of the first run.'],
      });
    }
  });
}

interface Lent {
  readonly values: readonly DeviceValue[];
  /** Those of `values` that were uploaded for this execution alone. */
  readonly temporary: readonly DeviceValue[];
}

/** The device buffers behind tensors, if all have some. */
function onDevices(backend: XlaBackend, tensors: readonly Tensor[]): Lent | undefined {
  const values: DeviceValue[] = [];
  for (const { dataId } of tensors) {
    const value = backend.held(dataId);
    if (value?.kind !== 'device') return undefined;
    values.push(value);
  }
  return { values, temporary: [] };
}

/** The device buffers behind tensors; host values and tensors of other backends are uploaded. */
async function deviceValues(
  context: ProgramContext,
  program: string,
  tensors: readonly Tensor[],
): Promise<Lent> {
  const values: DeviceValue[] = [];
  const temporary: DeviceValue[] = [];
  for (const tensor of tensors) {
    const value = context.backend.held(tensor.dataId);
    if (value?.kind === 'device') {
      values.push(value);
      continue;
    }
    const onHost = value?.kind === 'host' ? value.values : ((await tensor.data()) as HostArray);
    const uploaded = toDevices(context, onHost, typeOf(program, tensor));
    values.push(uploaded);
    temporary.push(uploaded);
  }
  return { values, temporary };
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
