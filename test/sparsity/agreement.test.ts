import { afterAll } from 'vitest';
import { compareWithReference } from './agreement.js';
import { testEngine } from './harness.js';

afterAll(async () => (await testEngine()).close());

// Two of the eight kinds, on a text so small that single neurons show: agreement.long.test.ts compares all, closer.
compareWithReference(
  [
    { act: 'relu', gated: true, layers: 1 },
    { act: 'silu', gated: false, layers: 1 },
  ],
  { windows: 128, engine: testEngine, ratio: 3e-4, activationRatio: 3e-3 },
);
