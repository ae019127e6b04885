import { engineError } from '../../../errors.js';
import type { PluginApi } from './api.js';
import type { BufferGroup, BufferPool, OwnedBuffer, Slots } from './buffers.js';
import { describeSpec } from './element-types.js';
import { EXECUTE_OPTIONS } from './layouts.js';
import { addressOf } from './native.js';
import type { ExecutionQueue } from './queue.js';
import type { BufferSpec, PjrtBuffer, PjrtExecutable, PjrtInputs, ProgramSource } from './types.js';

interface ExecutableParts {
  readonly api: PluginApi;
  readonly pool: BufferPool;
  readonly queue: ExecutionQueue;
  readonly program: ProgramSource;
  /** Devices one execution runs on. */
  readonly deviceCount: number;
  /** Address of the loaded executable. */
  readonly loaded: bigint;
  /** Call the plugin on a thread of Node's pool, so that what it does within the call keeps nobody waiting. */
  readonly besides: boolean;
  readonly onDispose: () => void;
  readonly about: Pick<PjrtExecutable, 'compileSeconds' | 'cached' | 'memory' | 'optimizedProgram'>;
}

/** Buffers side by side that an execution consumes. */
interface Range {
  readonly slots: Slots;
  readonly from: number;
  readonly count: number;
  /** Whether some keep theirs: no result is written over them. */
  readonly holdsMemory: boolean;
}

const sameSpec = (a: BufferSpec, b: BufferSpec) =>
  a.elementType === b.elementType &&
  a.shape.length === b.shape.length &&
  a.shape.every((extent, axis) => extent === b.shape[axis]);

const misuse = (code: string, message: string) => engineError(message, { code });

/** A row of addresses per device and the list of those rows, as the C API takes them. */
function addressRows(rows: number, length: number) {
  const lists = Array.from({ length: rows }, () => new BigUint64Array(Math.max(1, length)));
  return { lists, outer: BigUint64Array.from(lists, addressOf) };
}

/** Wraps a loaded executable; checks everything the plugin does not before it is run. */
export function createExecutable(parts: ExecutableParts): PjrtExecutable {
  const { api, pool, queue, program, deviceCount, loaded, besides } = parts;
  const { name, inputs: inputSpecs, outputs: outputSpecs } = program;
  const donated = new Set(program.donated);
  /** The first input that no result is written over. */
  const firstKept = [...inputSpecs.keys(), inputSpecs.length].find((index) => !donated.has(index))!;
  const doing = `running ${name}`;
  const options = new BigUint64Array(EXECUTE_OPTIONS.size / 8);
  options[0] = BigInt(EXECUTE_OPTIONS.size);
  const ins = addressRows(deviceCount, inputSpecs.length);
  const outs = addressRows(deviceCount, outputSpecs.length);
  const events = new BigUint64Array(deviceCount);
  const call = api.prepare('LoadedExecutable_Execute', {
    executable: loaded,
    options,
    argumentLists: ins.outer,
    deviceCount,
    argumentCount: inputSpecs.length,
    outputLists: outs.outer,
    completeEvents: events,
  });
  let disposed = false;
  /** What the carried inputs were that were compared last. */
  let carriedSpecs: readonly BufferSpec[] | undefined;
  let [carriedFrom, carriedCount] = [0, 0];

  const gone = (index: number) =>
    misuse('buffer-disposed', `${name}: input ${index} was disposed or donated before.`);
  const badInput = (index: number, { elementType, shape }: BufferSpec) =>
    misuse(
      'bad-input',
      `${name}: input ${index} is ${describeSpec(elementType, shape)}, ` +
        `but the program takes ${describeSpec(inputSpecs[index]!.elementType, inputSpecs[index]!.shape)}.`,
    );

  function checkInput(buffer: PjrtBuffer, index: number): OwnedBuffer {
    const spec = inputSpecs[index]!;
    const owned = pool.owned(buffer);
    if (!owned) throw misuse('foreign-buffer', `${name}: input ${index} belongs to another client.`);
    if (owned.disposed) throw gone(index);
    if (!sameSpec(buffer, spec)) throw badInput(index, buffer);
    return owned;
  }

  /** Results handed on as the first inputs. */
  function checkCarried({ results, from, count }: NonNullable<PjrtInputs['carried']>): Slots {
    const slots = pool.ownedGroup(results)?.slots;
    if (!slots) throw misuse('foreign-buffer', `${name}: input 0 belongs to another client.`);
    const missing = slots.addresses.indexOf(0n, from);
    if (missing !== -1 && missing < from + count) throw gone(missing - from);
    // One comparison for the programs whose results are compared: they stay the same from step to step.
    if (slots.specs !== carriedSpecs || from !== carriedFrom || count !== carriedCount) {
      for (let index = 0; index < count; index++) {
        const spec = slots.specs[from + index]!;
        if (!sameSpec(spec, inputSpecs[index]!)) throw badInput(index, spec);
      }
      [carriedSpecs, carriedFrom, carriedCount] = [slots.specs, from, count];
    }
    return slots;
  }

  /** @param carried how many of the first inputs are carried: they differ from each other, and all are consumed */
  function refuseDonatedTwice(list: BigUint64Array, carried: number): void {
    for (let index = carried; index < inputSpecs.length; index++) {
      const first = list.indexOf(list[index]!);
      if (first === index || !(first < carried || donated.has(first) || donated.has(index))) continue;
      throw misuse('donated-twice', `${name}: input ${first} is donated, but is another input as well.`);
    }
  }

  /** Checks the inputs of a device and writes the list of their addresses. @returns the ranges that are consumed */
  function lay({ carried, buffers }: PjrtInputs, list: BigUint64Array): Range[] {
    const first = carried?.count ?? 0;
    if (first + buffers.length !== inputSpecs.length) {
      throw misuse(
        'bad-input',
        `${name} takes ${inputSpecs.length} inputs, but ${first + buffers.length} were given.`,
      );
    }
    const consumed: Range[] = [];
    if (carried) {
      const { from, count } = carried;
      const slots = checkCarried(carried);
      list.set(slots.addresses.subarray(from, from + count));
      consumed.push({ slots, from, count, holdsMemory: count > firstKept });
    }
    for (let i = 0; i < buffers.length; i++) {
      const { address, group, index } = checkInput(buffers[i]!, first + i);
      list[first + i] = address;
      if (donated.has(first + i)) {
        consumed.push({ slots: group.slots, from: index, count: 1, holdsMemory: false });
      }
    }
    if (donated.size > 0 || first > 0) refuseDonatedTwice(list, first);
    return consumed;
  }

  /** Checks the inputs and writes the lists of addresses. @returns the ranges that are consumed on each device */
  function begin(inputs: readonly PjrtInputs[]): Range[][] {
    if (disposed) throw misuse('executable-disposed', `${name} was disposed before.`);
    if (inputs.length !== deviceCount) {
      throw misuse(
        'bad-input',
        `${name} runs on ${deviceCount} devices, but inputs for ${inputs.length} came.`,
      );
    }
    events.fill(0n);
    const consumed: Range[][] = [];
    for (let device = 0; device < deviceCount; device++) {
      consumed.push(lay(inputs[device]!, ins.lists[device]!));
    }
    return consumed;
  }

  /** After a call that failed: consumed inputs may be gone all the same. */
  function settle(consumed: readonly Range[][]): void {
    for (const { slots, from, count } of consumed.flat()) {
      for (let index = from; index < from + count; index++) {
        const address = slots.addresses[index]!;
        if (address === 0n || !pool.isDeleted(address)) continue;
        pool.release(slots, index, 1);
        pool.destroy(address);
      }
    }
  }

  function finish(consumed: readonly Range[][]): BufferGroup[] {
    let count = 0;
    let holdMemory = false;
    for (const ranges of consumed) {
      for (const range of ranges) {
        pool.spend(range.slots, range.from, range.count);
        count += range.count;
        holdMemory ||= range.holdsMemory;
      }
    }
    // A plugin may wait in freeing a donated buffer until the execution is over.
    const happening: bigint[] = [];
    const results: BufferGroup[] = [];
    for (let device = 0; device < deviceCount; device++) {
      happening.push(events[device]!);
      const addresses = outs.lists[device]!.slice(0, outputSpecs.length);
      results.push(pool.adopt(addresses, outputSpecs, device));
    }
    queue.add(happening, doing, () => pool.freeSpent(count, holdMemory));
    return results;
  }

  function execute(inputs: readonly PjrtInputs[]): BufferGroup[] {
    const consumed = begin(inputs);
    try {
      call.run(doing);
    } catch (failure) {
      settle(consumed);
      throw failure;
    }
    return finish(consumed);
  }

  function executeBesides(inputs: readonly PjrtInputs[]): Promise<BufferGroup[]> {
    return new Promise((resolve, reject) => {
      const consumed = begin(inputs);
      call.start(doing, (failure) => {
        if (!failure) return resolve(finish(consumed));
        settle(consumed);
        reject(failure);
      });
    });
  }

  return {
    name,
    ...parts.about,
    execute(inputs) {
      const [results] = execute([{ buffers: inputs }]);
      return outputSpecs.map((_, index) => results!.at(index));
    },
    // The lists of addresses are one set for all calls, and devices shall see all programs in one order.
    executeOnDevices: besides ? (inputs) => queue.inTurn(() => executeBesides(inputs)) : execute,
    dispose() {
      if (disposed) return;
      disposed = true;
      parts.onDispose();
      // The plugin keeps the code of executions under way; the wrapper may go at once.
      api.prepare('LoadedExecutable_Destroy', { executable: loaded }).run(`freeing ${name}`);
    },
  };
}
