export { createClient as openPjrt } from './client.js';
export type {
  BufferSpec,
  CompileSettings,
  DeviceMemory,
  ElementType,
  ExecutableMemory,
  HostValues,
  PjrtBuffer,
  PjrtClient,
  PjrtExecutable,
  PjrtInputs,
  PjrtOptions,
  PjrtResults,
  ProgramSource,
} from './types.js';
