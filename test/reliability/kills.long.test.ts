import { afterAll, describe, expect, it } from 'vitest';
import { killStudy, openStudy } from './harness.js';
import { SUBJECTS } from './subjects.js';

/** Of each command; in parts: SPARSELAW_TEST_COUNT kills from SPARSELAW_TEST_SEED on. */
const count = Number(process.env.SPARSELAW_TEST_COUNT ?? 200);
const seed = Number(process.env.SPARSELAW_TEST_SEED ?? 1);

describe('kill -9 at random disk operations and moments', () => {
  const lines: string[] = [];
  afterAll(() => console.log(lines.join('\n')));

  it.each(
    SUBJECTS.filter(({ writesOnce }) => !writesOnce).map((subject) => [subject.name, subject] as const),
  )('%s ends as if undisturbed', async (name, subject) => {
    const study = await openStudy(subject);
    try {
      const { kills, struck, trials, places, failures } = await killStudy(study, count, seed);
      const where = [...places].map(([place, number]) => `${place} ${number}`).join(', ');
      lines.push(
        `${name}, seed ${seed}: ${study.operations.length} disk operations, ${kills} kills, ${struck} before the end (${where}) in ${trials} trials, ${failures.length} failures`,
      );
      expect(failures).toEqual([]);
    } finally {
      study.remove();
    }
  });
});
