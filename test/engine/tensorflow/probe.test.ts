import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyEnvironment, tensorflowEnvironment } from '../../../src/engine/tensorflow/environment.js';
import type { TensorflowLocation } from '../../../src/engine/tensorflow/location.js';
import { probe } from '../../../src/engine/tensorflow/probe.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-probe-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Stands in for the native binding: JavaScript with the same exports. */
async function probeFake({ body = '', onGpu = false, values = { 1: [7, 10, 15, 22], 2: [54] }, log = '' }) {
  const binding = join(folder, `${Math.random()}.cjs`);
  await writeFile(
    binding,
    `${body}; process.stderr.write(${JSON.stringify(log)});
    module.exports = {
      TF_Version: '0.0.0', createTensor: () => 0, executeOp: (name) => [{ id: name === 'Sum' ? 2 : 1 }],
      tensorDataSync: (id) => (${JSON.stringify(values)})[id], isUsingGpuDevice: () => ${onGpu},
    };`,
  );
  const location: TensorflowLocation = {
    kind: 'installed',
    name: 'tensorflow',
    folder,
    binding,
    version: '4.22.0',
    builtFor: 'cuda',
  };
  return probe(location, { device: 'cuda', precision: 'float32' });
}

describe('probe', () => {
  it('names the GPU that is used', async () => {
    const log =
      'Created device /job:localhost/device:GPU:0 with 9 MB memory: -> device: 0, name: NVIDIA H200, pci bus id: 0';
    expect(await probeFake({ onGpu: true, log })).toEqual({
      ...{ works: true, onGpu: true, version: '0.0.0', whyNoGpu: '', gpuName: 'NVIDIA H200' },
    });
  });

  it('says why TensorFlow goes without a GPU', async () => {
    const log =
      'W gpu_device.cc:2342] Cannot dlopen some GPU libraries. Please make sure the missing libraries';
    expect(await probeFake({ log })).toMatchObject({
      ...{ works: true, onGpu: false, whyNoGpu: 'Cannot dlopen some GPU libraries' },
    });
  });

  it('survives a process that is ended, and says what it said last', async () => {
    const body = 'process.stderr.write("F0000 BadStatusOrAccess: no CUDA\\n"); process.abort()';
    const result = await probeFake({ body });
    expect(result).toEqual({ works: false, why: 'it ended with SIGABRT: F0000 BadStatusOrAccess: no CUDA' });
  });

  it('knows a processor without AVX', async () => {
    const result = await probeFake({
      body: 'process.kill(process.pid, "SIGILL"); setTimeout(() => {}, 1e5)',
    });
    expect(result).toMatchObject({ works: false, why: expect.stringContaining('AVX') });
  });

  it('tells a loader’s message', async () => {
    const result = await probeFake({
      body: 'throw new Error("libtensorflow.so.2: cannot open shared object file")',
    });
    expect(result).toMatchObject({
      why: 'it could not be loaded: libtensorflow.so.2: cannot open shared object file',
    });
  });

  it('does not trust a wrong product', async () => {
    const result = await probeFake({ values: { 1: [7, 10, 15, 21], 2: [54] } });
    expect(result).toMatchObject({ works: false, why: expect.stringContaining('wrongly') });
  });

  it('sets what TensorFlow reads at its start', async () => {
    const result = await probeFake({
      body: 'throw new Error(["TF_FORCE_GPU_ALLOW_GROWTH", "NVIDIA_TF32_OVERRIDE"].map((n) => process.env[n]).join())',
    });
    expect(result).toMatchObject({ why: 'it could not be loaded: true,0' });
  });
});

describe('environment', () => {
  it('hides GPUs from the CPU, and keeps the choice of the user on a GPU', () => {
    const env = { CUDA_VISIBLE_DEVICES: '3', TF_FORCE_GPU_ALLOW_GROWTH: 'false' };
    expect(tensorflowEnvironment({ device: 'cpu', precision: 'float32' }, env).CUDA_VISIBLE_DEVICES).toBe(
      '-1',
    );
    expect(tensorflowEnvironment({ device: 'cuda', precision: 'float32' }, env)).toMatchObject({
      ...{ CUDA_VISIBLE_DEVICES: '3', TF_FORCE_GPU_ALLOW_GROWTH: 'false' },
    });
  });

  it('turns TF32 off for float32 and leaves it on for tf32, whatever was set', () => {
    const env = { NVIDIA_TF32_OVERRIDE: '0' };
    const of = (precision: 'float32' | 'tf32') =>
      tensorflowEnvironment({ device: 'cuda', precision }, env).NVIDIA_TF32_OVERRIDE;
    expect(of('float32')).toBe('0');
    expect(of('tf32')).toBeUndefined();
  });

  it('removes what must not be set', () => {
    process.env.SPARSELAW_TEST_A = '1';
    applyEnvironment({ SPARSELAW_TEST_A: undefined, SPARSELAW_TEST_B: '2' });
    expect([process.env.SPARSELAW_TEST_A, process.env.SPARSELAW_TEST_B]).toEqual([undefined, '2']);
    delete process.env.SPARSELAW_TEST_B;
  });
});
