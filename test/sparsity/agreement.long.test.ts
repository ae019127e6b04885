import { afterAll, vi } from 'vitest';
import { type Engine, openEngine } from '../../src/engine/index.js';
import { compareWithReference } from './agreement.js';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let opened: Promise<Engine> | undefined;
const engine = () => {
  opened ??= openEngine('auto', { device: 'cpu' });
  return opened;
};
afterAll(async () => (await opened)?.close());

// Two searches end at crossings of their own where a curve is rough, nearer to each other the longer the text is.
for (const [layers, windows] of [
  [1, 512],
  [3, 1024],
] as const) {
  compareWithReference(
    (['relu', 'silu'] as const).flatMap((act) => [true, false].map((gated) => ({ act, gated, layers }))),
    { windows, engine, ratio: 1e-4, activationRatio: 1e-3 },
  );
}
