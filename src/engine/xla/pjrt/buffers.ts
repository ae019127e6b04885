import { engineError } from '../../../errors.js';
import type { Doing, PluginApi } from './api.js';
import {
  byteLengthOf,
  checkValues,
  describeSpec,
  ELEMENT_TYPES,
  hostArray,
  MOST_AXES,
} from './element-types.js';
import type { EventWaiter } from './events.js';
import { COPIED_DURING_CALL } from './layouts.js';
import { addressOf } from './native.js';
import { createSpentList } from './spent.js';
import type { BufferSpec, ElementType, HostValues, PjrtBuffer, PjrtResults } from './types.js';

/** Buffers of one device that came together: an address each, 0 once it is gone. */
export interface Slots {
  readonly addresses: BigUint64Array;
  readonly specs: readonly BufferSpec[];
  readonly device: number;
  /** How many are still there. */
  alive: number;
}

/** What buffers need of the pool that they belong to. */
interface Owner {
  readonly api: PluginApi;
  readonly reads: EventWaiter;
  /** Starts to copy a buffer's values to the host. @returns the event of their arrival */
  copy(address: bigint, values: HostValues, doing: Doing): bigint;
  /** Frees those still there of a range. */
  free(slots: Slots, from: number, count: number): void;
}

/**
 * Buffers that came together, such as what one execution returned on a device: hundreds, most of which go straight
 * into the next one. So there is one object for all, which the safety net watches, and one more only for a buffer
 * that somebody asks for.
 */
export class BufferGroup implements PjrtResults {
  constructor(
    readonly owner: Owner,
    /** Shared with the safety net, so that nothing is freed twice. */
    readonly slots: Slots,
  ) {}

  at(index: number): OwnedBuffer {
    return new OwnedBuffer(this, index);
  }
}

/** A `PjrtBuffer` and what the rest of the runtime needs of it: a place in a group. */
export class OwnedBuffer implements PjrtBuffer {
  constructor(
    readonly group: BufferGroup,
    readonly index: number,
  ) {}

  get elementType(): ElementType {
    return this.group.slots.specs[this.index]!.elementType;
  }

  get shape(): readonly number[] {
    return this.group.slots.specs[this.index]!.shape;
  }

  get device(): number {
    return this.group.slots.device;
  }

  get byteLength(): number {
    return byteLengthOf(this.elementType, this.shape);
  }

  get address(): bigint {
    return this.group.slots.addresses[this.index]!;
  }

  get disposed(): boolean {
    return this.address === 0n;
  }

  async read(): Promise<HostValues> {
    const { elementType, shape } = this;
    const doing = () => `reading ${describeSpec(elementType, shape)}`;
    const values = hostArray(elementType, shape);
    const { copy, reads } = this.group.owner;
    await reads.wait(copy(this.alive(), values, doing), doing);
    return values;
  }

  async ready(): Promise<void> {
    const doing = `computing ${describeSpec(this.elementType, this.shape)}`;
    const { api, reads } = this.group.owner;
    const call = api.prepare('Buffer_ReadyEvent', { buffer: this.alive() });
    await reads.wait(call.run(doing).get('event'), doing);
  }

  dispose(): void {
    this.group.owner.free(this.group.slots, this.index, 1);
  }

  private alive(): bigint {
    if (!this.disposed) return this.address;
    throw engineError(
      `A buffer ${describeSpec(this.elementType, this.shape)} was used after it was disposed or donated.`,
      { code: 'buffer-disposed' },
    );
  }
}

export interface BufferPool {
  readonly live: number;
  /** What the buffers alive on a device hold. */
  bytesOn(device: number): number;
  /** Takes ownership of a plugin's buffers. @param addresses kept: not to be changed afterwards */
  adopt(addresses: BigUint64Array, specs: readonly BufferSpec[], device: number): BufferGroup;
  upload(values: HostValues, elementType: ElementType, shape: readonly number[], device: number): OwnedBuffer;
  /** The owned buffer behind an interface, if it is of this pool. */
  owned(buffer: PjrtBuffer): OwnedBuffer | undefined;
  /** The same for the results of an execution. */
  ownedGroup(results: PjrtResults): BufferGroup | undefined;
  /** Forgets a range without freeing it: whoever calls this frees it. */
  release(slots: Slots, from: number, count: number): void;
  /** Frees a released address. */
  destroy(address: bigint): void;
  /** Releases a range that an execution consumed; it is to be freed once that is over. */
  spend(slots: Slots, from: number, count: number): void;
  /** So many more of what was spent, oldest first, may be freed: at once if they hold memory, else with others. */
  freeSpent(count: number, holdMemory: boolean): void;
  /** Resolves when all that may be freed has been. */
  freed(): Promise<void>;
  isDeleted(address: bigint): boolean;
  /** Frees every buffer still alive. */
  clear(): void;
}

/** Buffers of one client: who owns what, and how many there are. */
export function createBufferPool(
  api: PluginApi,
  client: bigint,
  devices: readonly bigint[],
  reads: EventWaiter,
): BufferPool {
  const live = new Set<Slots>();
  const destroyCall = api.prepare('Buffer_Destroy');
  const destroyed = destroyCall.word('buffer');
  const destroy = (address: bigint) => {
    destroyCall.words[destroyed] = address;
    destroyCall.run('freeing a buffer');
  };
  const isDeletedCall = api.prepare('Buffer_IsDeleted');
  const spent = createSpentList(api);
  const copyCall = api.prepare('Buffer_ToHostBuffer');
  const [source, destination, destinationSize, arrival] = [
    copyCall.word('source'),
    copyCall.word('destination'),
    copyCall.word('destinationSize'),
    copyCall.word('event'),
  ];
  const dims = new BigInt64Array(MOST_AXES);
  const uploadCall = api.prepare('Client_BufferFromHostBuffer', {
    client,
    semantics: COPIED_DURING_CALL,
    dims,
  });
  const at = {
    data: uploadCall.word('data'),
    type: uploadCall.word('type'),
    dimCount: uploadCall.word('dimCount'),
    device: uploadCall.word('device'),
    doneWithHostBuffer: uploadCall.word('doneWithHostBuffer'),
    buffer: uploadCall.word('buffer'),
  };

  const release = (slots: Slots, from: number, count: number) => {
    slots.addresses.fill(0n, from, from + count);
    slots.alive -= count;
    if (slots.alive === 0) live.delete(slots);
  };
  const free = (slots: Slots, from: number, count: number) => {
    for (let index = from; index < from + count; index++) {
      const address = slots.addresses[index]!;
      if (address === 0n) continue;
      release(slots, index, 1);
      destroy(address);
    }
  };
  const freeAll = (slots: Slots) => {
    if (slots.alive > 0) free(slots, 0, slots.addresses.length);
  };
  // Whoever reads holds the destination until the event has happened.
  const copy = (address: bigint, values: HostValues, doing: Doing): bigint => {
    const { words } = copyCall;
    words[source] = address;
    words[destination] = addressOf(values);
    words[destinationSize] = BigInt(values.byteLength);
    copyCall.run(doing);
    return words[arrival]!;
  };
  const owner: Owner = { api, reads, copy, free };
  // Garbage collection comes far too late to free device memory in time; this only limits the damage of a leak.
  const safetyNet = new FinalizationRegistry<Slots>(freeAll);

  function adopt(addresses: BigUint64Array, specs: readonly BufferSpec[], device: number): BufferGroup {
    const slots: Slots = { addresses, specs, device, alive: specs.length };
    const group = new BufferGroup(owner, slots);
    if (specs.length > 0) live.add(slots);
    safetyNet.register(group, slots);
    return group;
  }

  return {
    get live() {
      let count = 0;
      for (const { alive } of live) count += alive;
      return count;
    },
    bytesOn(device) {
      let bytes = 0;
      for (const slots of live) {
        if (slots.device !== device) continue;
        slots.specs.forEach(({ elementType, shape }, index) => {
          if (slots.addresses[index] !== 0n) bytes += byteLengthOf(elementType, shape);
        });
      }
      return bytes;
    },
    adopt,
    upload(values, elementType, shape, device) {
      checkValues(values, elementType, shape);
      const onDevice = devices[device];
      if (onDevice === undefined) {
        throw engineError(`There is no device ${device}: this client has ${devices.length}.`, {
          code: 'bad-device',
        });
      }
      const doing = () => `uploading ${describeSpec(elementType, shape)}`;
      for (let axis = 0; axis < shape.length; axis++) dims[axis] = BigInt(shape[axis]!);
      const { words } = uploadCall;
      words[at.data] = addressOf(values);
      words[at.type] = BigInt(ELEMENT_TYPES[elementType].code);
      words[at.dimCount] = BigInt(shape.length);
      words[at.device] = onDevice;
      uploadCall.run(doing);
      const done = words[at.doneWithHostBuffer]!;
      // Over already, by the semantics asked for; were it not, the event is freed once it is.
      if (reads.happened(done)) reads.settle(done, doing);
      else reads.wait(done, doing).catch(() => {});
      const addresses = new BigUint64Array(1);
      addresses[0] = words[at.buffer]!;
      return adopt(addresses, [{ elementType, shape: [...shape] }], device).at(0);
    },
    owned: (buffer) => (buffer instanceof OwnedBuffer && buffer.group.owner === owner ? buffer : undefined),
    ownedGroup: (results) =>
      results instanceof BufferGroup && results.owner === owner ? results : undefined,
    release,
    destroy,
    spend(slots, from, count) {
      spent.add(slots.addresses, from, count);
      release(slots, from, count);
    },
    freeSpent: spent.free,
    freed: spent.freed,
    isDeleted: (address) =>
      (isDeletedCall.set('buffer', address).run('asking for a buffer').getInt('isDeleted') & 0xff) !== 0,
    clear() {
      for (const slots of [...live]) freeAll(slots);
    },
  };
}
