import { describe, expect, it } from 'vitest';
import {
  KERNEL_KINDS,
  kernelsOf,
  PROVEN_KINDS,
  requestedKinds,
  STARTING_CUTS,
} from '../../../src/engine/xla/kernel-choice.js';

describe('the choice of kernels', () => {
  it('takes those that a device has shown to pay, unless something else is asked for', () => {
    expect(requestedKinds({})).toBeUndefined();
    expect(PROVEN_KINDS).toEqual(['norms', 'normGradients', 'losses']);
    const choose = kernelsOf(PROVEN_KINDS);
    expect(KERNEL_KINDS.filter((kind) => choose(kind, [16_384, 768]))).toEqual(PROVEN_KINDS);
  });

  it('takes what SPARSELAW_KERNELS names', () => {
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
