import { vi } from 'vitest';
import { compareWithReference } from './agreement.js';

// Many small passes: slow where the machine is shared.
vi.setConfig({ testTimeout: 180_000 });

// Two of the eight kinds; agreement.long.test.ts compares all.
compareWithReference([
  { act: 'relu', gated: true, layers: 1 },
  { act: 'silu', gated: false, layers: 1 },
]);
