import { describe, expect, it } from 'vitest';
import { gpuAdvice, parseGpus } from '../../src/doctor/gpu.js';

describe('what nvidia-smi tells', () => {
  it('is read line by line', () => {
    expect(parseGpus('NVIDIA H200, 580.159.04, 143771, 143155\nTesla T4, 470.1, 15360, 100\n')).toEqual([
      { name: 'NVIDIA H200', driver: '580.159.04', total: 143771, free: 143155 },
      { name: 'Tesla T4', driver: '470.1', total: 15360, free: 100 },
    ]);
    expect(parseGpus('No devices were found')).toEqual([]);
  });

  it.each([
    ['580.10', 100_000, /^$/],
    ['535.10', 100_000, /^$/],
    ['470.1', 100_000, /driver 470\.1 is too old/],
    ['580.10', 300, /Little memory/],
  ])('driver %s with %d MiB free', (driver, free, advice) => {
    expect(gpuAdvice({ name: 'GPU', driver, total: 1e5, free })).toMatch(advice);
  });
});
