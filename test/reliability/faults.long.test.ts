import { describe, expect, it } from 'vitest';
import { type DiskFault, faultTrial, openStudy, slowTrial, vanishTrial } from './harness.js';
import { SUBJECTS } from './subjects.js';

/** In parts: SPARSELAW_TEST_PART=2/5 is every fifth place from the second on. */
const [part, parts] = (process.env.SPARSELAW_TEST_PART ?? '1/1').split('/').map(Number) as [number, number];
/** At every operation of a command. */
const EVERYWHERE: readonly DiskFault[] = ['ENOSPC', 'EACCES'];
/** At one in so many: they take the same way through the program. */
const SPARSE: readonly DiskFault[] = ['EROFS', 'EIO'];
const SPARSE_STEP = 7;
/** The folder vanishes at so many places: each takes processes of its own. */
const VANISHINGS = 30;

const cases = SUBJECTS.flatMap((subject) =>
  (['vanish', 'slow', ...EVERYWHERE, ...SPARSE] as const).map(
    (kind) => [kind, subject.name, subject] as const,
  ),
);

describe('a disk that fails', () => {
  it.each(cases)('%s: %s names the file and recovers', async (kind, name, subject) => {
    const study = await openStudy(subject);
    const failures: string[] = [];
    let trials = 0;
    const count = (problem: string | undefined) => {
      trials++;
      if (problem) failures.push(problem);
    };
    const step = (SPARSE as readonly string[]).includes(kind) ? SPARSE_STEP : 1;
    const vanishings = Math.ceil(study.operations.length / VANISHINGS);
    try {
      if (kind === 'slow') count(await slowTrial(study));
      for (
        let at = part;
        kind !== 'slow' && at <= study.operations.length;
        at += parts * (kind === 'vanish' ? vanishings : step)
      )
        count(kind === 'vanish' ? await vanishTrial(study, at) : await faultTrial(study, kind, at));
    } finally {
      study.remove();
    }
    console.log(`${kind}, ${name}, part ${part}/${parts}: ${trials} trials, ${failures.length} failures`);
    expect(failures).toEqual([]);
  });
});
