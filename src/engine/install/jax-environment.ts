import type { PluginLocation } from './find.js';

/** The CUDA plugin of a JAX installation of `python3`, with the libraries that it brings; undefined without one. */
export async function findJaxCuda(): Promise<PluginLocation | undefined> {
  return undefined;
}
