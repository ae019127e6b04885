import { engineError } from '../../../errors.js';
import type { PluginApi } from './api.js';
import type { BufferPool, OwnedBuffer } from './buffers.js';
import { describeSpec } from './element-types.js';
import { EXECUTE_OPTIONS } from './layouts.js';
import { addressOf } from './native.js';
import type { ExecutionQueue } from './queue.js';
import type { BufferSpec, PjrtBuffer, PjrtExecutable, ProgramSource } from './types.js';

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

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((extent, axis) => extent === b[axis]);

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

  function checkInput(buffer: PjrtBuffer, index: number, spec: BufferSpec): OwnedBuffer {
    const owned = pool.owned(buffer);
    if (!owned) throw misuse('foreign-buffer', `${name}: input ${index} belongs to another client.`);
    if (owned.disposed) {
      throw misuse('buffer-disposed', `${name}: input ${index} was disposed or donated before.`);
    }
    if (buffer.elementType !== spec.elementType || !sameShape(buffer.shape, spec.shape)) {
      throw misuse(
        'bad-input',
        `${name}: input ${index} is ${describeSpec(buffer.elementType, buffer.shape)}, ` +
          `but the program takes ${describeSpec(spec.elementType, spec.shape)}.`,
      );
    }
    return owned;
  }

  function checkInputs(inputs: readonly PjrtBuffer[]): OwnedBuffer[] {
    if (inputs.length !== inputSpecs.length) {
      throw misuse(
        'bad-input',
        `${name} takes ${inputSpecs.length} inputs, but ${inputs.length} were given.`,
      );
    }
    const owned = inputs.map((buffer, index) => checkInput(buffer, index, inputSpecs[index]!));
    if (donated.size > 0) {
      const uses = new Map<PjrtBuffer, number>();
      for (const buffer of inputs) uses.set(buffer, (uses.get(buffer) ?? 0) + 1);
      for (const index of donated) {
        if ((uses.get(inputs[index]!) ?? 0) > 1) {
          throw misuse('donated-twice', `${name}: input ${index} is donated, but is another input as well.`);
        }
      }
    }
    return owned;
  }

  /** Checks the inputs and writes the lists of addresses. @returns the donated ones */
  function begin(inputs: readonly (readonly PjrtBuffer[])[]): OwnedBuffer[] {
    if (disposed) throw misuse('executable-disposed', `${name} was disposed before.`);
    if (inputs.length !== deviceCount) {
      throw misuse(
        'bad-input',
        `${name} runs on ${deviceCount} devices, but inputs for ${inputs.length} came.`,
      );
    }
    const owned = inputs.map(checkInputs);
    owned.forEach((row, device) => {
      row.forEach((buffer, index) => {
        ins.lists[device]![index] = buffer.handle.address;
      });
    });
    events.fill(0n);
    return owned.flatMap((row) => row.filter((_, index) => donated.has(index)));
  }

  /** After a call that failed: donated inputs may be gone all the same. */
  function settle(consumed: readonly OwnedBuffer[]): void {
    for (const buffer of consumed) if (pool.isDeleted(buffer.handle.address)) buffer.dispose();
  }

  function finish(consumed: readonly OwnedBuffer[]): PjrtBuffer[][] {
    const spent = consumed.map((buffer) => buffer.release());
    queue.add([...events], doing, () => {
      for (const address of spent) pool.destroy(address);
    });
    const adopt = pool.adopter();
    return outs.lists.map((row, device) =>
      outputSpecs.map(({ elementType, shape }, index) => adopt(row[index]!, elementType, shape, device)),
    );
  }

  function execute(inputs: readonly (readonly PjrtBuffer[])[]): PjrtBuffer[][] {
    const consumed = begin(inputs);
    try {
      call.run(doing);
    } catch (failure) {
      settle(consumed);
      throw failure;
    }
    return finish(consumed);
  }

  async function executeBesides(inputs: readonly (readonly PjrtBuffer[])[]): Promise<PjrtBuffer[][]> {
    const consumed = begin(inputs);
    try {
      await call.runAsync(doing);
    } catch (failure) {
      settle(consumed);
      throw failure;
    }
    return finish(consumed);
  }

  return {
    name,
    ...parts.about,
    execute: (inputs) => execute([inputs])[0]!,
    // The lists of addresses are one set for all calls, and devices shall see all programs in one order.
    executeOnDevices: (inputs) =>
      queue.inTurn(async () => (besides ? executeBesides(inputs) : execute(inputs))),
    dispose() {
      if (disposed) return;
      disposed = true;
      parts.onDispose();
      // The plugin keeps the code of executions under way; the wrapper may go at once.
      api.prepare('LoadedExecutable_Destroy', { executable: loaded }).run(`freeing ${name}`);
    },
  };
}
