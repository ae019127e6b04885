import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SparsityMeasurement } from '../../src/files/sparsity.js';
import { readTensors, writeSafetensors } from '../../src/io/safetensors.js';
import { sparselaw } from '../cli/cli.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { trainArgs } from './subjects.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-numerics-'));
const CHECKPOINT = 'checkpoints/000000000000320';
const METRICS = [
  '--metric',
  'zero,topk,fat,cett,pplp',
  '--k',
  '0.5',
  '--epsilon',
  '0.1',
  '--cett',
  '0.2',
  '--p',
  '1',
];

beforeAll(async () => {
  await writeTinyCorpus(join(folder, 'corpus'));
  const args = [...trainArgs('narrow', ['--activation', 'relu']), '--quiet'];
  args[args.indexOf('--ff') + 1] = '1';
  expect(await sparselaw(args, { cwd: folder })).toMatchObject({ status: 0, stderr: '' });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function measure(target: string, ...more: string[]) {
  const args = [
    'measure',
    target,
    ...METRICS,
    '--data',
    'corpus',
    '--engine',
    'cpu',
    '--tokens',
    '64',
    '--json',
  ];
  const outcome = await sparselaw([...args, ...more, '--quiet'], { cwd: folder });
  return { ...outcome, answer: JSON.parse(outcome.stdout) };
}

/** A copy of the checkpoint with some tensors filled with one value, without the hashes that would tell. */
async function filled(name: string, which: RegExp, value: number): Promise<string> {
  cpSync(join(folder, 'narrow', CHECKPOINT), join(folder, name), { recursive: true });
  rmSync(join(folder, name, 'state.json'));
  const path = join(folder, name, 'model.safetensors');
  const tensors = await readTensors(path);
  for (const [tensor, { data }] of tensors) if (which.test(tensor)) data.fill(value as never);
  await writeSafetensors(path, tensors as never);
  return name;
}

/** Every number of every measurement is one. */
const expectDefined = ({ status, stderr, answer }: Awaited<ReturnType<typeof measure>>) => {
  expect(status, stderr + JSON.stringify(answer.error)).toBe(0);
  const measurements = answer.measurements as SparsityMeasurement[];
  expect(measurements.length).toBeGreaterThanOrEqual(5);
  for (const m of measurements) {
    expect(m.activationRatio, m.metric).toBeGreaterThanOrEqual(0);
    expect(m.activationRatio, m.metric).toBeLessThanOrEqual(1);
    expect(m.activationRatio + m.sparsity).toBeCloseTo(1, 12);
    expect(Number.isFinite(m.perplexity.ratio), m.metric).toBe(true);
  }
  return measurements;
};

describe('at the edge of the numbers', () => {
  it('one layer with one neuron is measured', async () => {
    expectDefined(await measure(join('narrow', CHECKPOINT)));
  });

  it('windows of one token are measured', async () => {
    expectDefined(await measure(join('narrow', CHECKPOINT), '--seq-len', '1'));
  });

  it('an FFN whose output is 0 has CETT 0/0 = 0, and changes nothing', async () => {
    const target = await filled('silent', /down_proj/, 0);
    for (const m of expectDefined(await measure(target))) {
      expect(m.perplexity.ratio).toBeCloseTo(1, 12);
      for (const { cett } of m.layers) expect(cett ?? 0).toBe(0);
    }
  });

  it('neurons that no token activates give a ratio of 0', async () => {
    const target = await filled('dead', /gate_proj/, 0);
    const zero = expectDefined(await measure(target)).find(({ metric }) => metric === 'zero')!;
    expect(zero.activationRatio).toBe(0);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('%d in a weight is refused by tensor', async (value) => {
    const { status, answer } = await measure(await filled(`bad-${value}`, /up_proj/, value));
    expect(status).toBe(3);
    expect(answer.error).toMatchObject({ code: 'non-finite-weights' });
    expect(answer.error.message).toMatch(/up_proj.* holds (NaN|Infinity) at element 0/);
  });

  it('a loss that is no number ends training with status 5', async () => {
    const args = [...trainArgs('wild', ['--activation', 'relu']), '--clip', '1e30', '--quiet'];
    args[args.indexOf('--learning-rate') + 1] = '1e20';
    const { status, stderr } = await sparselaw(args, { cwd: folder });
    expect([0, 5], stderr).toContain(status);
    if (status === 5) expect(stderr).toMatch(/diverged|not finite/);
  });
});
