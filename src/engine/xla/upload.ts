import type { DeviceValue } from './backend.js';
import type { PjrtClient } from './pjrt/index.js';
import { cutValues, partOf, type Split } from './placement.js';
import type { HostArray, TensorType } from './types.js';

/** The devices that an engine's programs run on: the first of a client's. */
export interface Devices {
  readonly client: PjrtClient;
  readonly devices: number;
}

/** Copies host values to all devices: to each the whole, or its part along `split`. */
export function toDevices(
  { client, devices }: Devices,
  values: HostArray,
  type: TensorType,
  split?: Split,
): DeviceValue {
  if (devices === 1) {
    return { type, buffers: [client.upload(values, type.element, type.shape, 0)], split: undefined };
  }
  const along = split;
  const { element, shape } = partOf(type, along, devices);
  const parts = along === undefined ? undefined : cutValues(values, type.shape, along, devices);
  const buffers = Array.from({ length: devices }, (_, device) =>
    client.upload(parts ? parts[device]! : values, element, shape, device),
  );
  return { type, buffers, split: along };
}
