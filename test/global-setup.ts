import { installPlugin } from '../src/engine/install/index.js';

/** Installs the CPU plugin once, into the cache that users have, before any test runs on it. */
export default async function setup(): Promise<void> {
  if (process.env.SPARSELAW_TEST_NO_PLUGIN === '1' || process.env.SPARSELAW_PJRT_PLUGIN) return;
  await installPlugin('xla-cpu');
}
