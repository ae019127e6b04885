import { describe, expect, it } from 'vitest';
import { faultTrial, killStudy, openStudy } from './harness.js';
import { SUBJECTS } from './subjects.js';

/** A few trials on every run, spread over the command's disk operations; the long forms go through many more. */
describe('table, short form', () => {
  it('survives kill -9, a full disk and a denied write', async () => {
    const study = await openStudy(SUBJECTS.find(({ name }) => name === 'table')!);
    try {
      expect((await killStudy(study, 3, 1)).failures).toEqual([]);
      for (const kind of ['ENOSPC', 'EACCES'] as const)
        expect(await faultTrial(study, kind, 3)).toBeUndefined();
    } finally {
      study.remove();
    }
  });
});

describe('train, short form', () => {
  it('survives kill -9 and a full disk', async () => {
    const study = await openStudy(SUBJECTS.find(({ name }) => name === 'train')!);
    try {
      expect((await killStudy(study, 3, 2)).failures).toEqual([]);
      expect(await faultTrial(study, 'ENOSPC', study.operations.length >> 1)).toBeUndefined();
    } finally {
      study.remove();
    }
  });
});
