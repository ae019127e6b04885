import { vi } from 'vitest';
import { compareWithReference } from './agreement.js';

vi.setConfig({ testTimeout: 600_000 });

compareWithReference(
  (['relu', 'silu'] as const).flatMap((act) =>
    [true, false].flatMap((gated) => [1, 3].map((layers) => ({ act, gated, layers }))),
  ),
);
