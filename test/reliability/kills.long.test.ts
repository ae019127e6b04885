import { afterAll, describe, expect, it } from 'vitest';
import { killStudy, openStudy } from './harness.js';
import { SUBJECTS } from './subjects.js';

/** Kills of each command; training, whose loss costs most, is killed most. */
const KILLS: Record<string, number> = { train: 200 };
const OTHERS = 40;
const seed = Number(process.env.SPARSELAW_TEST_SEED ?? 1);

describe('kill -9 at random disk operations', () => {
  const lines: string[] = [];
  afterAll(() => console.log(lines.join('\n')));

  it.each(SUBJECTS.map((subject) => [subject.name, subject] as const))(
    '%s ends as if undisturbed',
    async (name, subject) => {
      const study = await openStudy(subject);
      try {
        const { kills, struck, trials, failures } = await killStudy(study, KILLS[name] ?? OTHERS, seed);
        lines.push(
          `${name}: ${study.operations.length} disk operations, ${kills} kills (${struck} before the end) in ${trials} trials, ${failures.length} failures`,
        );
        expect(failures).toEqual([]);
      } finally {
        study.remove();
      }
    },
  );
});
