import { installPlugin } from '../src/engine/install/index.js';

/** Installs the CPU plugin once, into the cache that users have, before any test runs on it. */
export default async function setup(): Promise<void> {
  const { SPARSELAW_TEST_NO_PLUGIN, SPARSELAW_PJRT_PLUGIN, SPARSELAW_TEST_DEVICE } = process.env;
  if (SPARSELAW_TEST_NO_PLUGIN === '1' || SPARSELAW_PJRT_PLUGIN || SPARSELAW_TEST_DEVICE === 'cuda') return;
  await installPlugin('xla-cpu');
}
