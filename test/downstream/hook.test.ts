import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportThresholds, HOOK_FILE } from '../../src/downstream/export.js';
import { openCpu } from '../../src/engine/cpu.js';
import type { Engine } from '../../src/engine/index.js';
import { sha256 } from '../../src/io/hash.js';
import { readFloatTensors, readSafetensorsHeader, readTensors } from '../../src/io/safetensors.js';
import { uploadModel } from '../../src/sparsity/evaluate.js';
import { loadModel, weightsHash } from '../../src/sparsity/load.js';
import { isNonZero, maskedHiddenStates } from '../../src/sparsity/programs.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import { resolveTarget } from '../../src/sparsity/targets.js';
import { measurementFor } from './measurement.js';

const root = resolve(import.meta.dirname, '../..');
const families = join(root, 'fixtures/parity/families');

interface Golden {
  hookSha256: string;
  cases: Record<string, { epsilons: number[]; modules: string[]; layerRatios: number[] }>;
}
const golden = JSON.parse(await readFile(join(root, 'fixtures/downstream/hook.json'), 'utf8')) as Golden;
const tensors = await readFloatTensors(join(root, 'fixtures/downstream/hook.safetensors'));

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await openCpu({});
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-hook-'));
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

it('the goldens are of the hook that is shipped', async () => {
  expect(sha256(await readFile(join(root, HOOK_FILE)))).toBe(golden.hookSha256);
});

describe.each(Object.keys(golden.cases))('%s', (name) => {
  const { epsilons, modules, layerRatios } = golden.cases[name]!;
  const target = async () => {
    const copy = join(folder, name);
    await cp(join(families, 'llama'), copy, { recursive: true });
    await cp(join(families, name), copy, { recursive: true });
    return (await resolveTarget(copy))[0]!;
  };

  it("the hook's masked logits in transformers are ours to 2e-4, its activation ratio to 1e-4", async () => {
    const { model } = await loadModel(await target());
    const L = model.layers;
    const { parameters, norms } = await uploadModel(engine, model);
    const stored = await readFloatTensors(join(families, name, 'expected.safetensors'), ['logits']);
    const tokens = (await readTensors(join(families, name, 'expected.safetensors'), ['tokens'])).get(
      'tokens',
    )!;
    const inputs = tf.tensor(tokens.data as Int32Array, tokens.shape, 'int32');
    const ratios: number[] = [];
    const hidden = maskedHiddenStates(
      model,
      outputNormRule,
      { parameters, norms },
      inputs,
      tf.tensor2d(epsilons, [L, 1]),
      (h) => ratios.push(tf.mean(tf.cast(isNonZero(h), 'float32')).dataSync()[0]!),
    );
    const logits = model.logits(parameters, hidden).dataSync() as Float32Array;
    const theirs = tensors.get(`${name}/logits`)!.data;
    expect(logits).toHaveLength(theirs.length);
    const distance = (other: ArrayLike<number>) =>
      logits.reduce((worst, value, i) => Math.max(worst, Math.abs(value - other[i]!)), 0);
    expect(distance(theirs)).toBeLessThan(2e-4);
    // Masking matters here: the dense logits are far away.
    expect(distance(stored.get('logits')!.data)).toBeGreaterThan(0.1);
    ratios.forEach((ratio, layer) => {
      expect(Math.abs(ratio - layerRatios[layer]!)).toBeLessThan(1e-4);
    });
  });

  it('exports the thresholds that the hook ran with, under the names of its modules', async () => {
    const own = await target();
    const from = join(folder, `${name}.json`);
    const layers = epsilons.map((threshold) => ({ threshold }));
    await writeFile(
      from,
      JSON.stringify(measurementFor({ checkpointSha256: await weightsHash(own), layers })),
    );
    const out = join(folder, `${name}-exported`);
    await exportThresholds(own.path, from, out);
    const path = join(out, 'thresholds.safetensors');
    const exported = await readFloatTensors(path);
    expect([...exported.keys()].sort()).toEqual([...modules].sort());
    expect((await readSafetensorsHeader(path)).metadata.get('modules')).toBe(modules.join(' '));
    for (const module of modules) {
      expect(exported.get(module)!.data).toEqual(tensors.get(`${name}/${module}`)!.data);
    }
  });
});
