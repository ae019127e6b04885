import { describe, it } from 'vitest';
import { DEFAULT_CUT } from '../../../src/engine/xla/kernel-choice.js';
import { DRAWS, WORKS } from './kernel-programs.js';
import { CUTS, compareOn } from './kernel-works.js';

describe('the arithmetic of kernels for rows', () => {
  const works = Object.entries(WORKS);
  it.each(
    works.flatMap(([name, work]) => [
      [name, 512, 16, work] as const,
      [name, 513, 33, work] as const,
      [name, 519, 65, work] as const,
    ]),
  )('%s gives what its plain form gives: %i rows of %i', (_name, rows, width, work) => {
    compareOn(work, rows, width, DEFAULT_CUT, 'ordinary values');
  });

  it.each(works.flatMap(([name, work]) => Object.keys(DRAWS).map((draw) => [name, draw, work] as const)))(
    '%s holds on %s',
    (_name, draw, work) => compareOn(work, 515, 24, DEFAULT_CUT, draw),
  );

  it.each(works.flatMap(([name, work]) => Object.keys(CUTS).map((cut) => [name, cut, work] as const)))(
    '%s does not depend on how it is cut: %s',
    (_name, cut, work) => compareOn(work, 518, 20, CUTS[cut]!, 'ordinary values'),
  );
});
