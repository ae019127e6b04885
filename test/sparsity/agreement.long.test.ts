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

compareWithReference(
  (['relu', 'silu'] as const).flatMap((act) =>
    [true, false].flatMap((gated) => [1, 3].map((layers) => ({ act, gated, layers }))),
  ),
  { windows: 512, engine, ratio: 1e-4, activationRatio: 1e-3 },
);
