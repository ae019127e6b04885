import type { DeviceKind } from '../engine.js';

/** A TensorFlow that can be loaded. */
export interface TensorflowLocation {
  /** `installed` by `engine install`; `package`: a tfjs-node package of the user's, with its own library. */
  readonly kind: 'installed' | 'package';
  /** `tensorflow`, `tensorflow-cuda12`, or the package's name. */
  readonly name: string;
  /** Root of the installed tree, or the package's folder. */
  readonly folder: string;
  /** Path of the native binding. */
  readonly binding: string;
  /** Version of tfjs-node's JavaScript. */
  readonly version: string;
  /** What its library is built for; a build for `cuda` runs on the processor as well. */
  readonly builtFor: DeviceKind;
}
