import { basename } from 'node:path';
import { engineError } from '../../../errors.js';
import { sha256File } from '../../../io/hash.js';
import { loadPlugin, type PluginApi } from './api.js';
import { createBufferPool } from './buffers.js';
import { createCompiler } from './compile.js';
import { createEventWaiter } from './events.js';
import { NAMED_VALUE } from './layouts.js';
import { addressOf, copyBytes, copyText, copyWords, encodeText } from './native.js';
import { createExecutionQueue } from './queue.js';
import type { DeviceMemory, PjrtClient, PjrtOptions } from './types.js';

type Options = NonNullable<PjrtOptions['clientOptions']>;

/** Client options as an array of `PJRT_NamedValue`; `held` keeps the texts they point to alive. */
function namedValues(options: Options): { bytes: Uint8Array<ArrayBuffer>; held: ArrayBufferView[] } {
  const entries = Object.entries(options);
  const bytes = new Uint8Array(Math.max(1, entries.length) * NAMED_VALUE.size);
  const view = new DataView(bytes.buffer);
  const held: ArrayBufferView[] = [];
  const text = (value: string) => {
    const encoded = encodeText(value);
    held.push(encoded);
    return encoded;
  };
  entries.forEach(([name, value], index) => {
    const at = index * NAMED_VALUE.size;
    const encodedName = text(name);
    view.setBigUint64(at, BigInt(NAMED_VALUE.size), true);
    view.setBigUint64(at + NAMED_VALUE.name, addressOf(encodedName), true);
    view.setBigUint64(at + NAMED_VALUE.nameSize, BigInt(encodedName.length), true);
    view.setBigUint64(at + NAMED_VALUE.valueSize, 1n, true);
    const put = (type: keyof typeof NAMED_VALUE.types) =>
      view.setInt32(at + NAMED_VALUE.type, NAMED_VALUE.types[type], true);
    if (typeof value === 'string') {
      const encoded = text(value);
      put('string');
      view.setBigUint64(at + NAMED_VALUE.value, addressOf(encoded), true);
      view.setBigUint64(at + NAMED_VALUE.valueSize, BigInt(encoded.length), true);
    } else if (typeof value === 'object') {
      const numbers = BigInt64Array.from(value, BigInt);
      held.push(numbers);
      put('int64List');
      view.setBigUint64(at + NAMED_VALUE.value, addressOf(numbers), true);
      view.setBigUint64(at + NAMED_VALUE.valueSize, BigInt(numbers.length), true);
    } else if (typeof value === 'boolean') {
      put('bool');
      view.setUint8(at + NAMED_VALUE.value, value ? 1 : 0);
    } else if (Number.isInteger(value)) {
      put('int64');
      view.setBigInt64(at + NAMED_VALUE.value, BigInt(value), true);
    } else {
      put('float');
      view.setFloat32(at + NAMED_VALUE.value, value, true);
    }
  });
  return { bytes, held };
}

async function createNativeClient(api: PluginApi, options: Options): Promise<bigint> {
  const { bytes, held } = namedValues(options);
  const call = api.prepare('Client_Create', { options: bytes, optionCount: Object.keys(options).length });
  await call.runAsync('creating a client');
  held.length = 0;
  return call.get('client');
}

type TextCall = 'Client_PlatformName' | 'Client_PlatformVersion' | 'DeviceDescription_Kind';

function readText(api: PluginApi, name: TextCall, of: Record<string, bigint>, doing: string): string {
  const call = api.prepare(name, of).run(doing);
  return copyText(call.get('text'), Number(call.get('textSize')));
}

type Attributes = Record<string, string | number | boolean>;

/** A device's named values; lists are left out. */
function readAttributes(api: PluginApi, description: bigint): Attributes {
  const call = api.prepare('DeviceDescription_Attributes', { description }).run('describing the device');
  const count = Number(call.get('attributeCount'));
  const bytes = copyBytes(call.get('attributes'), count * NAMED_VALUE.size);
  const view = new DataView(bytes.buffer);
  const attributes: Attributes = {};
  const { types } = NAMED_VALUE;
  for (let at = 0; at < bytes.length; at += NAMED_VALUE.size) {
    const word = (offset: number) => view.getBigUint64(at + offset, true);
    const name = copyText(word(NAMED_VALUE.name), Number(word(NAMED_VALUE.nameSize)));
    const type = view.getInt32(at + NAMED_VALUE.type, true);
    const value = at + NAMED_VALUE.value;
    if (type === types.string) {
      attributes[name] = copyText(word(NAMED_VALUE.value), Number(word(NAMED_VALUE.valueSize)));
    } else if (type === types.int64) {
      attributes[name] = Number(view.getBigInt64(value, true));
    } else if (type === types.float) {
      attributes[name] = view.getFloat32(value, true);
    } else if (type === types.bool) {
      attributes[name] = view.getUint8(value) !== 0;
    }
  }
  return attributes;
}

function addressableDevices(api: PluginApi, client: bigint): bigint[] {
  const call = api.prepare('Client_AddressableDevices', { client }).run('listing devices');
  return copyWords(call.get('devices'), Number(call.get('deviceCount')));
}

function deviceMemory(api: PluginApi, device: bigint | undefined): DeviceMemory | undefined {
  if (device === undefined || !api.has('Device_MemoryStats')) return undefined;
  const call = api.prepare('Device_MemoryStats', { device });
  try {
    call.run('asking for memory statistics');
  } catch {
    return undefined; // CPU plugins answer "unimplemented".
  }
  const optional = (field: 'peak' | 'limit', isSet: 'peakIsSet' | 'limitIsSet') =>
    (call.getInt(isSet) & 0xff) !== 0 ? Number(call.get(field)) : undefined;
  return {
    bytesInUse: Number(call.get('bytesInUse')),
    peakBytes: optional('peak', 'peakIsSet'),
    bytesLimit: optional('limit', 'limitIsSet'),
  };
}

/** Results drift with XNNPACK in CPU plugins of this age (2e-2 in a loss after six steps; without it 1e-6). */
const XNNPACK_WRONG_UP_TO_MINOR = 81;

const defaultOverrides = (api: PluginApi, platform: string): Attributes =>
  platform === 'cpu' && api.minor <= XNNPACK_WRONG_UP_TO_MINOR ? { xla_cpu_use_xnnpack: false } : {};

/** One CPU device uses all cores; plugins make four by default. */
const defaultClientOptions = (device: PjrtOptions['device']): Options =>
  device === 'cpu' ? { cpu_device_count: 1 } : {};

const PLATFORMS: Record<PjrtOptions['device'], RegExp> = { cpu: /^(cpu|host)$/i, cuda: /^(cuda|gpu)$/i };

export async function createClient(options: PjrtOptions): Promise<PjrtClient> {
  const { pluginPath, device, logLevel = 3 } = options;
  // Read by the plugin while it is loaded; what the user has set stays.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= String(logLevel);
  const hash = options.pluginHash ?? (await sha256File(pluginPath).catch(() => undefined));
  const api = loadPlugin(pluginPath, options.libraries);
  const client = await createNativeClient(api, options.clientOptions ?? defaultClientOptions(device));
  const platform = readText(api, 'Client_PlatformName', { client }, 'asking for the platform');
  const devices = addressableDevices(api, client);
  if (devices.length === 0 || !PLATFORMS[device].test(platform)) {
    api.prepare('Client_Destroy', { client }).run('ending a client');
    throw engineError(
      `The plugin ${basename(pluginPath)} serves "${platform}" with ${devices.length} devices, but ${device} is wanted.`,
      {
        code: 'wrong-device',
        suggestions: [`sparselaw engine install xla-${device === 'cuda' ? 'cuda13' : 'cpu'}`],
      },
    );
  }
  const description = api
    .prepare('Device_GetDescription', { device: devices[0]! })
    .run('describing the device')
    .get('description');
  const deviceDescription = readText(api, 'DeviceDescription_Kind', { description }, 'describing the device');
  const deviceAttributes = readAttributes(api, description);
  const platformVersion = readText(api, 'Client_PlatformVersion', { client }, 'asking for the version');

  const reads = createEventWaiter(api);
  const queue = createExecutionQueue(createEventWaiter(api), () => api.turns);
  const pool = createBufferPool(api, client, devices, reads);
  const compile = createCompiler({
    api,
    client,
    pool,
    queue,
    // The CPU client runs small programs within the call: there a change of threads would only cost time.
    besides: platform !== 'cpu',
    overrides: { ...defaultOverrides(api, platform), ...options.overrides },
    cacheKey: [hash ?? '', api.version, platformVersion, deviceDescription],
  });
  let closing: Promise<void> | undefined;
  const assertOpen = () => {
    if (closing) throw engineError('The PJRT client was closed before.', { code: 'client-closed' });
  };

  return {
    platform,
    deviceDescription,
    deviceAttributes,
    deviceCount: devices.length,
    plugin: {
      name: options.pluginName ?? basename(pluginPath),
      version: options.pluginVersion ?? '',
      apiVersion: api.version,
    },
    upload(values, elementType, shape, onDevice = 0) {
      assertOpen();
      return pool.upload(values, elementType, shape, onDevice);
    },
    async compile(program, settings) {
      assertOpen();
      return compile(program, settings);
    },
    room: () => queue.room(),
    get liveBuffers() {
      return pool.live;
    },
    heldBytes: (onDevice = 0) => pool.bytesOn(onDevice),
    memoryStats: (onDevice = 0) => (closing ? undefined : deviceMemory(api, devices[onDevice])),
    close() {
      closing ??= (async () => {
        await queue.idle();
        await pool.freed();
        pool.clear();
        compile.disposeAll();
        await api.prepare('Client_Destroy', { client }).runAsync('ending a client');
      })();
      return closing;
    },
  };
}
