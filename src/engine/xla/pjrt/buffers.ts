import { engineError } from '../../../errors.js';
import type { PluginApi } from './api.js';
import { byteLengthOf, checkValues, describeSpec, ELEMENT_TYPES, hostArray } from './element-types.js';
import type { EventWaiter } from './events.js';
import { COPIED_DURING_CALL } from './layouts.js';
import type { ElementType, HostValues, PjrtBuffer } from './types.js';

/** The address of a plugin's buffer, 0 once it is gone. Shared with the safety net, so that it frees nothing twice. */
export interface Handle {
  address: bigint;
}

/** A `PjrtBuffer` and what the rest of the runtime needs of it. */
export interface OwnedBuffer extends PjrtBuffer {
  readonly handle: Handle;
  /** Forgets the address without freeing it, and returns it: whoever calls this frees it. */
  release(): bigint;
}

export interface BufferPool {
  readonly live: number;
  /** Takes ownership of a plugin's buffer. */
  adopt(address: bigint, elementType: ElementType, shape: readonly number[], device: number): OwnedBuffer;
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
  const live = new Set<bigint>();
  const destroyCall = api.prepare('Buffer_Destroy');
  const isDeletedCall = api.prepare('Buffer_IsDeleted');
  const members = new WeakSet<PjrtBuffer>();

  const destroy = (address: bigint) => {
    destroyCall.set('buffer', address).run('freeing a buffer');
  };
  const free = (handle: Handle) => {
    const { address } = handle;
    if (address === 0n) return;
    handle.address = 0n;
    live.delete(address);
    destroy(address);
  };
  // Garbage collection comes far too late to free device memory in time; this only limits the damage of a leak.
  const safetyNet = new FinalizationRegistry<Handle>(free);

  function adopt(address: bigint, elementType: ElementType, shape: readonly number[], device: number) {
    const handle: Handle = { address };
    live.add(address);
    const doing = `reading ${describeSpec(elementType, shape)}`;
    const alive = () => {
      if (handle.address !== 0n) return handle.address;
      throw engineError(
        `A buffer ${describeSpec(elementType, shape)} was used after it was disposed or donated.`,
        {
          code: 'buffer-disposed',
        },
      );
    };
    const buffer: OwnedBuffer = {
      elementType,
      shape,
      device,
      handle,
      get byteLength() {
        return byteLengthOf(elementType, shape);
      },
      get disposed() {
        return handle.address === 0n;
      },
      async read() {
        const values = hostArray(elementType, shape);
        const call = api.prepare('Buffer_ToHostBuffer', {
          source: alive(),
          destination: values,
          destinationSize: values.byteLength,
        });
        await reads.wait(call.run(doing).get('event'), doing);
        return values;
      },
      async ready() {
        const call = api.prepare('Buffer_ReadyEvent', { buffer: alive() });
        await reads.wait(call.run(doing).get('event'), doing);
      },
      release() {
        const released = alive();
        handle.address = 0n;
        live.delete(released);
        return released;
      },
      dispose: () => free(handle),
    };
    members.add(buffer);
    safetyNet.register(buffer, handle);
    return buffer;
  }

  return {
    get live() {
      return live.size;
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
      return adopt(call.get('buffer'), elementType, [...shape], device);
    },
    owned: (buffer) => (members.has(buffer) ? (buffer as OwnedBuffer) : undefined),
    destroy,
    isDeleted: (address) =>
      (isDeletedCall.set('buffer', address).run('asking for a buffer').getInt('isDeleted') & 0xff) !== 0,
    clear() {
      for (const address of [...live]) destroy(address);
      live.clear();
    },
  };
}
