import { execFileSync } from 'node:child_process';
import { DEVICES, type DeviceKind, type Engine, type EngineOptions } from '../../../src/engine/index.js';
import { openXla } from '../../../src/engine/xla/index.js';

/**
 * Set to 1 where no PJRT plugin can be had (macOS, Windows, arm64): tests that need one are skipped, and say so.
 * Everywhere else a missing plugin is a failure.
 */
export const WITHOUT_PLUGIN = process.env.SPARSELAW_TEST_NO_PLUGIN === '1';
if (WITHOUT_PLUGIN) console.warn('SPARSELAW_TEST_NO_PLUGIN=1: tests of the XLA engine are skipped');

/** What `npm run test:device` sets; the processor otherwise. */
export const TEST_DEVICE: DeviceKind =
  DEVICES.find((device) => device === process.env.SPARSELAW_TEST_DEVICE) ?? 'cpu';

export const openTestXla = (options: EngineOptions = {}): Promise<Engine> =>
  openXla({ device: TEST_DEVICE, ...options });

/** How many devices tests may ask for: the processor shows as many as are wanted. */
export const TEST_DEVICES: number =
  TEST_DEVICE === 'cpu'
    ? Number.POSITIVE_INFINITY
    : execFileSync('nvidia-smi', ['-L'], { encoding: 'utf8' }).trim().split('\n').length;
