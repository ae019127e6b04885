import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type Cut,
  DEFAULT_CUT,
  KERNEL_KINDS,
  type KernelChoice,
  type KernelKind,
  kernelsOf,
  PROVEN_KINDS,
  STARTING_CUTS,
} from '../../../src/engine/xla/kernel-choice.js';
import {
  choiceOf,
  readKernelTable,
  usualChoice,
  writeKernelTable,
} from '../../../src/engine/xla/kernel-table.js';
import { searchCuts } from '../../../src/engine/xla/tune.js';

const cut = (warps: number): Cut => ({ lanesAtOnce: 64, rowsOfInstance: 2, warps });
const CANDIDATES = {
  norms: [cut(1), cut(2)],
  normGradients: [cut(1)],
  losses: [cut(1), cut(4)],
  squares: [cut(1)],
  casts: [cut(1), cut(2)],
  pairs: [cut(1)],
  sums: [cut(1)],
};

/** A device on which a step takes 100 ms and each kernel saves so many: by its kind and warps. */
const saving = (gains: Partial<Record<KernelKind, Record<number, number>>>) => async (choose: KernelChoice) =>
  100 -
  Object.entries(gains).reduce((sum, [kind, byWarps]) => {
    const chosen = choose(kind as KernelKind, [1, 1]);
    return sum + (chosen ? byWarps[chosen.warps]! : 0);
  }, 0);

describe('the search for kernels that pay', () => {
  it('takes the best cut of each kind that pays, and no other kind', async () => {
    const device = saving({
      norms: { 1: 2, 2: 3 },
      normGradients: { 1: -4 },
      losses: { 1: 0.3, 4: 0.1 },
      squares: { 1: 1 },
      casts: { 1: 1, 2: 0.9 },
    });
    const { cuts, trials } = await searchCuts(device, undefined, CANDIDATES);
    // 0.3 of 100 ms is within the spread.
    expect(cuts).toEqual({ norms: cut(2), squares: cut(1), casts: cut(1) });
    expect(trials.filter(({ kind }) => kind === 'losses').map(({ milliseconds }) => milliseconds)).toEqual([
      96.7, 96.9,
    ]);
  });

  it('compares with a step timed beside it: a device that slows down favours nothing', async () => {
    let heat = 0;
    const { cuts } = await searchCuts(async () => 100 + heat++, undefined, CANDIDATES);
    expect(cuts).toEqual({});
  });

  it('leaves out what does not run', async () => {
    const device = saving({ norms: { 1: 5, 2: 9 } });
    const failing = async (choose: KernelChoice) => {
      if (choose('norms', [1, 1])?.warps === 2) throw new Error('the program does not compile');
      return device(choose);
    };
    const { cuts, trials } = await searchCuts(failing, undefined, CANDIDATES);
    expect(cuts).toEqual({ norms: cut(1) });
    expect(trials[1]!.milliseconds).toBeNaN();
  });
});

describe('the table of kernels that pay', () => {
  const plugin = { sha256: 'ab12', package: 'plugin', version: '1' };
  const uses = [
    { kind: 'norms', shape: [1024, 64] },
    { kind: 'losses', shape: [1024, 512] },
  ] as const;
  const tuned = {
    cuts: { losses: cut(4) },
    trials: [
      { kind: 'norms', cut: cut(1), milliseconds: 9, without: 8 },
      { kind: 'norms', cut: cut(2), milliseconds: Number.NaN, without: 8 },
      { kind: 'losses', cut: cut(4), milliseconds: 7, without: 8 },
    ],
  } as const;
  const usual = kernelsOf(['norms', 'losses']);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kernel-table-'));
    vi.stubEnv('SPARSELAW_CACHE_DIR', folder);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });

  it('says what to take for its shapes; others are as usual', async () => {
    await writeKernelTable(plugin, 'GPU X', uses, tuned);
    const choose = choiceOf(await readKernelTable(plugin, 'GPU X'), usual);
    expect(choose('losses', [1024, 512])).toEqual(cut(4));
    expect(choose('norms', [1024, 64])).toBeUndefined();
    expect(choose('norms', [2048, 64])).toEqual(DEFAULT_CUT);
    expect(choose('squares', [2048])).toBeUndefined();
  });

  it('is not needed for any kind that is right', () => {
    const choose = usualChoice(KERNEL_KINDS, undefined, undefined);
    expect(KERNEL_KINDS.filter((kind) => choose(kind, [1]))).toEqual(PROVEN_KINDS);
    for (const kind of PROVEN_KINDS) expect(choose(kind, [1])).toEqual(STARTING_CUTS[kind]);
    const but = usualChoice(['norms', 'casts'], undefined, undefined);
    expect(KERNEL_KINDS.filter((kind) => but(kind, [1]))).toEqual(['norms', 'casts']);
  });

  it('has no say over kinds that are wrong, nor over those that are asked for', async () => {
    await writeKernelTable(plugin, 'GPU X', uses, tuned);
    const table = await readKernelTable(plugin, 'GPU X');
    expect(usualChoice(['norms'], table, undefined)('losses', [1024, 512])).toBeUndefined();
    expect(usualChoice(['losses'], table, undefined)('losses', [1024, 512])).toEqual(cut(4));
    expect(usualChoice(['norms'], undefined, undefined)('norms', [1, 1])).toEqual(DEFAULT_CUT);
    const asked = usualChoice(['norms', 'losses'], table, ['norms', 'casts']);
    expect(asked('norms', [1024, 64])).toEqual(DEFAULT_CUT);
    expect(asked('losses', [1024, 512])).toBeUndefined();
    expect(asked('casts', [1])).toBeUndefined();
  });

  it('holds the shapes of several runs, and the last word on each', async () => {
    await writeKernelTable(plugin, 'GPU X', uses, tuned);
    const again = { cuts: { norms: cut(2) }, trials: [] };
    await writeKernelTable(plugin, 'GPU X', [{ kind: 'norms', shape: [1024, 64] }], again);
    const choose = choiceOf(await readKernelTable(plugin, 'GPU X'), usual);
    expect(choose('norms', [1024, 64])).toEqual(cut(2));
    expect(choose('losses', [1024, 512])).toEqual(cut(4));
  });

  it.each<[string, (text: string) => string]>([
    [
      'of another version of the kernels',
      (text) => text.replace(/"kernelVersion": \d+/, '"kernelVersion": 0'),
    ],
    ['of another plugin', (text) => text.replace('"pluginSha256": "ab12"', '"pluginSha256": "cd34"')],
    ['of another device', (text) => text.replace('GPU X', 'GPU Y')],
    ['that is no JSON', (text) => text.slice(0, 50)],
    ['with a cut that cannot be', (text) => text.replace('"warps": 4', '"warps": 0')],
  ])('is not believed when it is one %s', async (_name, change) => {
    const path = await writeKernelTable(plugin, 'GPU X', uses, tuned);
    await writeFile(path, change(await readFile(path, 'utf8')));
    expect(await readKernelTable(plugin, 'GPU X')).toBeUndefined();
  });

  it('is not needed', async () => {
    expect(await readKernelTable(plugin, 'GPU X')).toBeUndefined();
    expect(choiceOf(undefined, usual)('norms', [512, 64])).toEqual(DEFAULT_CUT);
  });
});
