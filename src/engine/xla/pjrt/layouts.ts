/**
 * The part of the PJRT C API that this runtime calls (openxla/xla, `pjrt_c_api.h`), as numbers: where each
 * function's pointer lies in `PJRT_Api` and where each field lies in its argument struct (bytes, 64-bit).
 *
 * Versions only ever append: slots and offsets below hold for every plugin of major version 0. Struct sizes are
 * those of API 0.115; a plugin accepts a struct larger than it knows (the rest is zero) and refuses a smaller one.
 */
export const API_MAJOR = 0;
/** Oldest minor version that these layouts were checked against (plugin `xla-cpu-pjrt` 0.0.1 has 81). */
export const API_MINOR_AT_LEAST = 54;

/** Fields of `PJRT_Api` before its function pointers. */
export const API_HEADER = { structSize: 0, major: 32, minor: 36, functions: 40 } as const;

interface FunctionLayout {
  /** Index of the pointer after the header. */
  readonly slot: number;
  /** Bytes of the argument struct. */
  readonly size: number;
  /** Byte offset of each field; the struct's size and extension pointer (0, 8) are common to all. */
  readonly fields: Readonly<Record<string, number>>;
  /** The runtime can do without it. */
  readonly optional?: true;
}

const layouts = {
  Error_Destroy: { slot: 0, size: 24, fields: { error: 16 } },
  Error_Message: { slot: 1, size: 40, fields: { error: 16, message: 24, messageSize: 32 } },
  Error_GetCode: { slot: 2, size: 32, fields: { error: 16, code: 24 } },
  Plugin_Initialize: { slot: 3, size: 16, fields: {} },
  Event_Destroy: { slot: 5, size: 24, fields: { event: 16 } },
  Event_IsReady: { slot: 6, size: 32, fields: { event: 16, isReady: 24 } },
  Event_Error: { slot: 7, size: 24, fields: { event: 16 } },
  Event_Await: { slot: 8, size: 24, fields: { event: 16 } },
  Event_OnReady: { slot: 9, size: 40, fields: { event: 16, callback: 24, userArg: 32 } },
  Client_Create: { slot: 10, size: 88, fields: { options: 16, optionCount: 24, client: 64 } },
  Client_Destroy: { slot: 11, size: 24, fields: { client: 16 } },
  Client_PlatformName: { slot: 12, size: 40, fields: { client: 16, text: 24, textSize: 32 } },
  Client_PlatformVersion: { slot: 14, size: 40, fields: { client: 16, text: 24, textSize: 32 } },
  Client_AddressableDevices: { slot: 16, size: 40, fields: { client: 16, devices: 24, deviceCount: 32 } },
  Client_Compile: {
    slot: 20,
    size: 56,
    fields: { client: 16, program: 24, options: 32, optionsSize: 40, executable: 48 },
  },
  Client_BufferFromHostBuffer: {
    slot: 22,
    size: 120,
    fields: {
      client: 16,
      data: 24,
      type: 32,
      dims: 40,
      dimCount: 48,
      semantics: 72,
      device: 80,
      doneWithHostBuffer: 104,
      buffer: 112,
    },
  },
  DeviceDescription_Attributes: {
    slot: 25,
    size: 40,
    fields: { description: 16, attributeCount: 24, attributes: 32 },
  },
  DeviceDescription_Kind: { slot: 26, size: 40, fields: { description: 16, text: 24, textSize: 32 } },
  Device_GetDescription: { slot: 29, size: 32, fields: { device: 16, description: 24 } },
  Device_MemoryStats: {
    slot: 34,
    size: 208,
    fields: { device: 16, bytesInUse: 24, peak: 32, peakIsSet: 40, limit: 80, limitIsSet: 88 },
    optional: true,
  },
  Executable_Destroy: { slot: 40, size: 24, fields: { executable: 16 } },
  Executable_NumOutputs: { slot: 44, size: 32, fields: { executable: 16, outputCount: 24 } },
  Executable_OptimizedProgram: {
    slot: 48,
    size: 32,
    fields: { executable: 16, program: 24 },
    optional: true,
  },
  Executable_Serialize: {
    slot: 49,
    size: 56,
    fields: { executable: 16, bytes: 24, bytesSize: 32, holder: 40, deleter: 48 },
    optional: true,
  },
  LoadedExecutable_Destroy: { slot: 50, size: 24, fields: { executable: 16 } },
  LoadedExecutable_GetExecutable: { slot: 51, size: 32, fields: { loaded: 16, executable: 24 } },
  LoadedExecutable_Execute: {
    slot: 55,
    size: 80,
    fields: {
      executable: 16,
      options: 24,
      argumentLists: 32,
      deviceCount: 40,
      argumentCount: 48,
      outputLists: 56,
      completeEvents: 64,
    },
  },
  Executable_DeserializeAndLoad: {
    slot: 56,
    size: 64,
    fields: { client: 16, bytes: 24, bytesSize: 32, executable: 40 },
    optional: true,
  },
  Buffer_Destroy: { slot: 58, size: 24, fields: { buffer: 16 } },
  Buffer_IsDeleted: { slot: 68, size: 32, fields: { buffer: 16, isDeleted: 24 } },
  Buffer_ToHostBuffer: {
    slot: 70,
    size: 56,
    fields: { source: 16, destination: 32, destinationSize: 40, event: 48 },
  },
  Buffer_ReadyEvent: { slot: 72, size: 32, fields: { buffer: 16, event: 24 } },
  Executable_OutputElementTypes: {
    slot: 90,
    size: 40,
    fields: { executable: 16, types: 24, typeCount: 32 },
  },
  Executable_OutputDimensions: {
    slot: 91,
    size: 48,
    fields: { executable: 16, outputCount: 24, dims: 32, rankOfEach: 40 },
  },
  Executable_GetCompiledMemoryStats: {
    slot: 96,
    size: 112,
    fields: { executable: 16, code: 24, arguments: 32, outputs: 40, aliased: 48, temporary: 56 },
    optional: true,
  },
} as const satisfies Record<string, FunctionLayout>;

export type FunctionName = keyof typeof layouts;
export type FieldOf<Name extends FunctionName> = keyof (typeof layouts)[Name]['fields'] & string;
export const LAYOUTS: { readonly [Name in FunctionName]: FunctionLayout } = layouts;

/** `PJRT_Program`: text and its format. */
export const PROGRAM = { size: 48, code: 16, codeSize: 24, format: 32, formatSize: 40 } as const;
/** `PJRT_ExecuteOptions`: all zero but its size. */
export const EXECUTE_OPTIONS = { size: 128 } as const;
/** `PJRT_NamedValue` and the codes of its `type`. */
export const NAMED_VALUE = {
  size: 56,
  name: 16,
  nameSize: 24,
  type: 32,
  value: 40,
  valueSize: 48,
  types: { string: 0, int64: 1, int64List: 2, float: 3, bool: 4 },
} as const;
/** `PJRT_HostBufferSemantics`: the plugin copies the values before the call returns. */
export const COPIED_DURING_CALL = 0;

/** `PJRT_Error_Code`, which are those of Abseil's status. */
export const ERROR_CODES: Readonly<Record<number, string>> = {
  1: 'CANCELLED',
  2: 'UNKNOWN',
  3: 'INVALID_ARGUMENT',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND',
  6: 'ALREADY_EXISTS',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  9: 'FAILED_PRECONDITION',
  10: 'ABORTED',
  11: 'OUT_OF_RANGE',
  12: 'UNIMPLEMENTED',
  13: 'INTERNAL',
  14: 'UNAVAILABLE',
  15: 'DATA_LOSS',
  16: 'UNAUTHENTICATED',
};
