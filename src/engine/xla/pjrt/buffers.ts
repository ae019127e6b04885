import { engineError } from '../../../errors.js';
import type { PluginApi } from './api.js';
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
    const doing = `reading ${describeSpec(this.elementType, this.shape)}`;
    const values = hostArray(this.elementType, this.shape);
    const { api, reads } = this.group.owner;
    const call = api.prepare('Buffer_ToHostBuffer', {
      source: this.alive(),
      destination: values,
      destinationSize: values.byteLength,
    });
    await reads.wait(call.run(doing).get('event'), doing);
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
  /** Frees released addresses; 0 stands for none. */
  destroy(addresses: BigUint64Array): void;
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
  const isDeletedCall = api.prepare('Buffer_IsDeleted');
  const dims = new BigInt64Array(MOST_AXES);
  const uploadCall = api.prepare('Client_BufferFromHostBuffer', {
    client,
    semantics: COPIED_DURING_CALL,
    dims,
  });

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
      destroyCall.set('buffer', address).run('freeing a buffer');
    }
  };
  const freeAll = (slots: Slots) => {
    if (slots.alive > 0) free(slots, 0, slots.addresses.length);
  };
  const owner: Owner = { api, reads, free };
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
      const doing = `uploading ${describeSpec(elementType, shape)}`;
      for (let axis = 0; axis < shape.length; axis++) dims[axis] = BigInt(shape[axis]!);
      uploadCall
        .set('data', values)
        .set('type', ELEMENT_TYPES[elementType].code)
        .set('dimCount', shape.length)
        .set('device', onDevice)
        .run(doing)
        // The values were copied: they need not live on until the next upload.
        .set('data', 0);
      const done = uploadCall.get('doneWithHostBuffer');
      // Over already, by the semantics asked for; were it not, the event is freed once it is.
      if (reads.happened(done)) reads.settle(done, doing);
      else reads.wait(done, doing).catch(() => {});
      const addresses = BigUint64Array.of(uploadCall.get('buffer'));
      return adopt(addresses, [{ elementType, shape: [...shape] }], device).at(0);
    },
    owned: (buffer) => (buffer instanceof OwnedBuffer && buffer.group.owner === owner ? buffer : undefined),
    ownedGroup: (results) =>
      results instanceof BufferGroup && results.owner === owner ? results : undefined,
    release,
    destroy: (addresses) => destroyCall.runEach('buffer', addresses, 'freeing a buffer'),
    isDeleted: (address) =>
      (isDeletedCall.set('buffer', address).run('asking for a buffer').getInt('isDeleted') & 0xff) !== 0,
    clear() {
      for (const slots of [...live]) freeAll(slots);
    },
  };
}
