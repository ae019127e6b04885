import { describe, expect, it } from 'vitest';
import { type FaultKind, faultTrial, openStudy } from './harness.js';
import { SUBJECTS } from './subjects.js';

/** At most so many places of a command (SPARSELAW_TEST_COUNT), evenly spread over its disk operations. */
const PLACES = Number(process.env.SPARSELAW_TEST_COUNT ?? 12);
const KINDS: readonly FaultKind[] = ['ENOSPC', 'EACCES', 'EIO'];

describe('a disk that fails', () => {
  it.each(SUBJECTS.map((subject) => [subject.name, subject] as const))(
    '%s names the file and recovers',
    async (_name, subject) => {
      const study = await openStudy(subject);
      const failures: string[] = [];
      let trials = 0;
      try {
        const { length } = study.operations;
        const places = Math.min(PLACES, length);
        for (const kind of KINDS) {
          for (let i = 0; i < places; i++) {
            const problem = await faultTrial(study, kind, 1 + Math.floor((i * length) / places));
            trials++;
            if (problem) failures.push(problem);
          }
        }
      } finally {
        study.remove();
      }
      console.log(`${subject.name}: ${trials} faults, ${failures.length} failures`);
      expect(failures).toEqual([]);
    },
  );
});
