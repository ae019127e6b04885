import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What every tier on this machine shares. */
export const SHARED = {
  // Forked processes: the engines keep process-wide state (tfjs backends, native plugins).
  globalSetup: ['test/global-setup.ts'],
  pool: 'forks' as const,
  maxWorkers: 2,
  // For what hangs, not for what is slow: other work may share the cores.
  testTimeout: 180_000,
  hookTimeout: 180_000,
  disableConsoleIntercept: true,
  env: { NO_COLOR: '1', OCLIF_COLUMNS: '80' },
};

const OTHER_TIERS = [
  'test/**/*.long.test.ts',
  'test/**/*.tensorflow.test.ts',
  'test/browser/**',
  'test/slurm/**',
  'node_modules/**',
];
const PLAIN = ['config', 'fit', 'house', 'io', 'laws', 'random', 'table'].map(
  (room) => `test/${room}/**/*.test.ts`,
);

/** Slowest first: vitest starts the largest files first, and a short file may take long. */
const SLOW = [
  'sweep/sweep',
  'cli/pack',
  'cli/pipeline',
  'cli/readme',
  'sparsity/agreement',
  'commands/train',
];

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const index = SLOW.findIndex((name) => moduleId.endsWith(`test/${name}.test.ts`));
      return index < 0 ? SLOW.length : index;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    ...SHARED,
    sequence: { sequencer: SlowFirst },
    projects: [
      // Rooms that hold no engine and change nothing of the process: their files share one, which spares its start.
      { extends: true, test: { name: 'plain', include: PLAIN, exclude: OTHER_TIERS, isolate: false } },
      {
        extends: true,
        test: { name: 'engines', include: ['test/**/*.test.ts'], exclude: [...OTHER_TIERS, ...PLAIN] },
      },
    ],
  },
});
