import { afterAll } from 'vitest';
import { type Engine, openEngine } from '../../src/engine/index.js';
import { compareWithReference } from './agreement.js';
import { testEngine } from './harness.js';

let opened: Promise<Engine> | undefined;
const fastest = () => {
  opened ??= openEngine('auto', { device: 'cpu' });
  return opened;
};
afterAll(async () => {
  await (await opened)?.close();
  await (await testEngine()).close();
});

// Two of the eight kinds, one on each engine, on texts so small that single neurons show: agreement.long.test.ts
// compares all, closer. What runs op by op gets half the text.
const NEAR = { ratio: 3e-4, activationRatio: 3e-3 };
compareWithReference([{ act: 'relu', gated: true, layers: 1 }], { ...NEAR, windows: 128, engine: fastest });
compareWithReference([{ act: 'silu', gated: false, layers: 1 }], {
  ...NEAR,
  windows: 64,
  engine: testEngine,
});
