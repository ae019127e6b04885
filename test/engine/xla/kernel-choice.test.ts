import { describe, expect, it } from 'vitest';
import {
  KERNEL_KINDS,
  kernelsOf,
  requestedKinds,
  STARTING_CUTS,
} from '../../../src/engine/xla/kernel-choice.js';

describe('the choice of kernels', () => {
  it('takes the kinds that it is given, and no others', () => {
    for (const kinds of [KERNEL_KINDS, ['norms', 'casts'] as const, []]) {
      const choose = kernelsOf(kinds);
      expect(KERNEL_KINDS.filter((kind) => choose(kind, [16_384, 768]))).toEqual(kinds);
    }
  });

  it('takes what SPARSELAW_KERNELS names', () => {
    expect(requestedKinds({})).toBeUndefined();
    expect(requestedKinds({ SPARSELAW_KERNELS: '0' })).toEqual([]);
    expect(requestedKinds({ SPARSELAW_KERNELS: 'losses,casts' })).toEqual(['losses', 'casts']);
    expect(() => requestedKinds({ SPARSELAW_KERNELS: 'losses,norm' })).toThrow(
      expect.objectContaining({ code: 'bad-variable', exitStatus: 2 }),
    );
  });

  it('cuts a kind as it is told to', () => {
    const choose = kernelsOf(['norms', 'losses'], { losses: { ...STARTING_CUTS.losses, warps: 16 } });
    expect(choose('losses', [1, 1])?.warps).toBe(16);
    expect(choose('norms', [1, 1])).toEqual(STARTING_CUTS.norms);
  });
});
