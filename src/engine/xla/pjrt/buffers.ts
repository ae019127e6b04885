import { engineError } from '../../../errors.js';
import type { PluginApi } from './api.js';
import { byteLengthOf, checkValues, describeSpec, ELEMENT_TYPES, hostArray } from './element-types.js';
import type { EventWaiter } from './events.js';
import { COPIED_DURING_CALL } from './layouts.js';
import type { ElementType, HostValues, PjrtBuffer } from './types.js';

/** The address of a plugin's buffer, 0 once it is gone. Shared with the safety net, so that it frees nothing twice. */
export interface Handle {
  address: bigint;
  readonly device: number;
  readonly byteLength: number;
}

/** What a buffer needs of the pool that it belongs to. */
interface Owner {
  readonly api: PluginApi;
  readonly reads: EventWaiter;
  free(handle: Handle): void;
  forget(handle: Handle): bigint;
}

/**
 * A `PjrtBuffer` and what the rest of the runtime needs of it. A class, because a step makes hundreds of them:
 * closures for each took longer to collect than the step's whole call.
 */
export class OwnedBuffer implements PjrtBuffer {
  constructor(
    readonly owner: Owner,
    readonly handle: Handle,
    readonly elementType: ElementType,
    readonly shape: readonly number[],
    /** See `Batch`. */
    readonly batch: Batch,
  ) {}

  get device(): number {
    return this.handle.device;
  }

  get byteLength(): number {
    return this.handle.byteLength;
  }

  get disposed(): boolean {
    return this.handle.address === 0n;
  }

  async read(): Promise<HostValues> {
    const doing = `reading ${describeSpec(this.elementType, this.shape)}`;
    const values = hostArray(this.elementType, this.shape);
    const call = this.owner.api.prepare('Buffer_ToHostBuffer', {
      source: this.alive(),
      destination: values,
      destinationSize: values.byteLength,
    });
    await this.owner.reads.wait(call.run(doing).get('event'), doing);
    return values;
  }

  async ready(): Promise<void> {
    const doing = `computing ${describeSpec(this.elementType, this.shape)}`;
    const call = this.owner.api.prepare('Buffer_ReadyEvent', { buffer: this.alive() });
    await this.owner.reads.wait(call.run(doing).get('event'), doing);
  }

  /** Forgets the address without freeing it, and returns it: whoever calls this frees it. */
  release(): bigint {
    this.alive();
    return this.owner.forget(this.handle);
  }

  dispose(): void {
    this.owner.free(this.handle);
  }

  private alive(): bigint {
    const { address } = this.handle;
    if (address !== 0n) return address;
    throw engineError(
      `A buffer ${describeSpec(this.elementType, this.shape)} was used after it was disposed or donated.`,
      { code: 'buffer-disposed' },
    );
  }
}

/**
 * Buffers that came together and are given up together, once none of them can be reached any more: a step's results
 * are hundreds, and an entry in the safety net for each cost as much as the step's other objects.
 */
export type Batch = object;

export interface BufferPool {
  readonly live: number;
  /** What the buffers alive on a device hold. */
  bytesOn(device: number): number;
  /** Takes ownership of a plugin's buffers, which come together: a function that takes one. */
  adopter(): (
    address: bigint,
    elementType: ElementType,
    shape: readonly number[],
    device: number,
  ) => OwnedBuffer;
  upload(values: HostValues, elementType: ElementType, shape: readonly number[], device: number): OwnedBuffer;
  /** The owned buffer behind an interface, if it is of this pool. */
  owned(buffer: PjrtBuffer): OwnedBuffer | undefined;
  /** Frees a released address. */
  destroy(address: bigint): void;
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
  const live = new Set<Handle>();
  const destroyCall = api.prepare('Buffer_Destroy');
  const isDeletedCall = api.prepare('Buffer_IsDeleted');

  const destroy = (address: bigint) => {
    destroyCall.set('buffer', address).run('freeing a buffer');
  };
  const forget = (handle: Handle) => {
    const { address } = handle;
    handle.address = 0n;
    live.delete(handle);
    return address;
  };
  const free = (handle: Handle) => {
    if (handle.address !== 0n) destroy(forget(handle));
  };
  const owner: Owner = { api, reads, free, forget };
  // Garbage collection comes far too late to free device memory in time; this only limits the damage of a leak.
  const safetyNet = new FinalizationRegistry<Handle[]>((handles) => handles.forEach(free));

  function adopter(): ReturnType<BufferPool['adopter']> {
    const batch: Batch = {};
    const handles: Handle[] = [];
    safetyNet.register(batch, handles);
    return (address, elementType, shape, device) => {
      const handle: Handle = { address, device, byteLength: byteLengthOf(elementType, shape) };
      live.add(handle);
      handles.push(handle);
      return new OwnedBuffer(owner, handle, elementType, shape, batch);
    };
  }

  return {
    get live() {
      return live.size;
    },
    bytesOn(device) {
      let bytes = 0;
      for (const handle of live) if (handle.device === device) bytes += handle.byteLength;
      return bytes;
    },
    adopter,
    upload(values, elementType, shape, device) {
      checkValues(values, elementType, shape);
      const onDevice = devices[device];
      if (onDevice === undefined) {
        throw engineError(`There is no device ${device}: this client has ${devices.length}.`, {
          code: 'bad-device',
        });
      }
      const doing = `uploading ${describeSpec(elementType, shape)}`;
      const call = api
        .prepare('Client_BufferFromHostBuffer', {
          client,
          data: values,
          type: ELEMENT_TYPES[elementType].code,
          dims: BigInt64Array.from(shape, BigInt),
          dimCount: shape.length,
          semantics: COPIED_DURING_CALL,
          device: onDevice,
        })
        .run(doing);
      // Already over, by the semantics asked for: waiting frees the event.
      reads.wait(call.get('doneWithHostBuffer'), doing).catch(() => {});
      return adopter()(call.get('buffer'), elementType, [...shape], device);
    },
    owned: (buffer) => (buffer instanceof OwnedBuffer && buffer.owner === owner ? buffer : undefined),
    destroy,
    isDeleted: (address) =>
      (isDeletedCall.set('buffer', address).run('asking for a buffer').getInt('isDeleted') & 0xff) !== 0,
    clear() {
      for (const handle of [...live]) free(handle);
    },
  };
}
