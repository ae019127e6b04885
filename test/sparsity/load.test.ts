import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/index.js';
import { SparselawError } from '../../src/errors.js';
import { requireFits } from '../../src/sparsity/fits.js';
import { loadModel } from '../../src/sparsity/load.js';
import { writeSyntheticLlama } from './synthetic-llama.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-load-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('loadModel', () => {
  it('reads no weights until they are asked for, then one tensor at a time', async () => {
    await writeSyntheticLlama(folder, { layers: 3, width: 64, ff: 160, vocab: 128 });
    const target = { kind: 'foreign', path: folder, checkpoint: 'x' } as const;
    const { model, facts } = await loadModel({ ...target, runId: null, tokens: null, step: null });
    const file = join(folder, 'model.safetensors');
    let seen = 0;
    for await (const [, { values }] of model.tensors()) seen += values.length;
    expect(seen).toBe(facts.parametersTotal);
    expect((await stat(file)).size).toBeLessThan(2 * seen + 10_000);
    // What is read is the file, not a copy of it.
    await truncate(file, 4096);
    await expect(model.tensors()[Symbol.asyncIterator]().next()).rejects.toThrow(SparselawError);
  });
});

describe('requireFits', () => {
  const device = (bytesLimit: number | undefined, kind: Engine['device'] = 'cuda') => ({
    device: kind,
    deviceDescription: 'a device',
    memory: () => ({ liveTensors: 0, bytesInUse: 1e9, bytesLimit }),
  });

  it('refuses weights that do not fit, with both sizes and status 4', () => {
    const refused = () => requireFits(device(10e9), 7e9, 'models/large');
    expect(refused).toThrow(
      'models/large: its weights take 28.0 GB in float32, but a device has 9.00 GB free.',
    );
    try {
      refused();
    } catch (error) {
      expect((error as SparselawError).exitStatus).toBe(4);
    }
    expect(() => requireFits(device(30e9), 7e9, 'm')).not.toThrow();
  });

  it('asks the machine where the device is its processor, and refuses nothing where nobody knows', () => {
    expect(() => requireFits(device(undefined, 'cpu'), 1e15, 'm')).toThrow('4.00e+6 GB');
    expect(() => requireFits(device(undefined), 1e15, 'm')).not.toThrow();
  });
});
