import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findPlugin } from '../../../../src/engine/install/index.js';
import type { PjrtClient } from '../../../../src/engine/xla/pjrt/index.js';
import { SparselawError } from '../../../../src/errors.js';
import { accumulate, openCpu, slow, vector, withoutPlugin } from './programs.js';

const noCache = { cache: false };

async function failure(action: () => unknown): Promise<SparselawError> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(SparselawError);
    return error as SparselawError;
  }
  throw new Error('nothing was thrown');
}

describe.skipIf(withoutPlugin)('a PJRT client of the CPU plugin', () => {
  let client: PjrtClient;
  beforeAll(async () => {
    client = await openCpu();
  });
  afterEach(() => expect(client.liveBuffers).toBe(0));
  afterAll(() => client.close());

  it('describes itself', () => {
    expect(client).toMatchObject({ platform: 'cpu', deviceCount: 1 });
    expect(client.plugin).toMatchObject({ name: 'lammps-jax-pjrt-cpu', version: '0.11.2' });
    expect(client.plugin.apiVersion).toMatch(/^0\.\d+$/);
  });

  it.each([
    ['f32', Float32Array.of(1.5, -0, Number.NaN)],
    ['f64', Float64Array.of(1 / 3, -2, 3)],
    ['i32', Int32Array.of(-1, 2 ** 31 - 1, 0)],
    ['u32', Uint32Array.of(1, 2 ** 32 - 1, 0)],
    ['i64', BigInt64Array.of(-1n, 2n ** 62n, 0n)],
    ['u64', BigUint64Array.of(1n, 2n ** 64n - 1n, 0n)],
    ['i1', Uint8Array.of(0, 1, 1)],
    ['u8', Uint8Array.of(0, 1, 255)],
    ['bf16', Uint16Array.of(0x3f80, 0xc000, 0x7fc0)],
  ] as const)('carries %s up and down unchanged', async (elementType, values) => {
    const buffer = client.upload(values, elementType, [3]);
    expect(await buffer.read()).toEqual(values);
    buffer.dispose();
    buffer.dispose();
    expect(buffer.disposed).toBe(true);
  });

  it('copies at upload: the array may be changed at once', async () => {
    const values = new Float32Array(100_000).fill(1);
    const buffer = client.upload(values, 'f32', [100_000]);
    values.fill(2);
    expect((await buffer.read()) as Float32Array).toEqual(new Float32Array(100_000).fill(1));
    buffer.dispose();
  });

  it('carries scalars and empty tensors', async () => {
    const one = client.upload(Float32Array.of(7), 'f32', []);
    const none = client.upload(new Float32Array(0), 'f32', [0, 3]);
    expect(await one.read()).toEqual(Float32Array.of(7));
    expect(await none.read()).toEqual(new Float32Array(0));
    one.dispose();
    none.dispose();
  });

  it('refuses values that are not what they are said to be', async () => {
    expect((await failure(() => client.upload(new Int32Array(2), 'f32', [2]))).code).toBe('bad-values');
    const error = await failure(() => client.upload(new Float32Array(5), 'f32', [2, 3]));
    expect(error.message).toBe('f32[2,3] holds 6 values, but 5 were given.');
    expect((await failure(() => client.upload(new Float32Array(0), 'f32', [-1]))).code).toBe('bad-shape');
    expect((await failure(() => client.upload(new Float32Array(1), 'f32', [1], 7))).code).toBe('bad-device');
  });

  it('runs a thousand donating steps with a constant number of buffers', async () => {
    const program = await client.compile(accumulate, noCache);
    let state = client.upload(new Float32Array(4), 'f32', [4]);
    const x = client.upload(Float32Array.of(1, 2, 3, 4), 'f32', [4]);
    for (let step = 0; step < 1000; step++) {
      await client.room();
      const previous = state;
      const [next, sum] = program.execute([state, x]);
      state = next!;
      expect(previous.disposed).toBe(true);
      expect(client.liveBuffers).toBe(3);
      sum!.dispose();
    }
    expect(await state.read()).toEqual(Float32Array.of(1000, 2000, 3000, 4000));
    state.dispose();
    x.dispose();
    program.dispose();
  });

  // Once more where this thread was not scheduled as long as the work took.
  it('returns before the work is done, takes the next input meanwhile and leaves the event loop free', {
    retry: 2,
  }, async () => {
    const program = await client.compile(slow, noCache);
    const x = client.upload(new Float32Array(1024 * 1024), 'f32', [1024, 1024]);
    const [y] = program.execute([x]);
    const next = client.upload(new Float32Array(1024), 'f32', [1024]);
    let isDone = false;
    const done = y!.ready().finally(() => {
      isDone = true;
    });
    // What is done already would show before the event loop turns.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(isDone).toBe(false);
    let turns = 0;
    for (; !isDone; turns++) await new Promise((resolve) => setImmediate(resolve));
    await done;
    next.dispose();
    expect(turns).toBeGreaterThan(10);
    y!.dispose();
    x.dispose();
    program.dispose();
  });

  it('queues two executions at most', { retry: 2 }, async () => {
    const program = await client.compile(slow, noCache);
    const x = client.upload(new Float32Array(1024 * 1024), 'f32', [1024, 1024]);
    const results = [program.execute([x])[0]!, program.execute([x])[0]!];
    let hasRoom = false;
    const room = client.room()!.then(() => {
      hasRoom = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(hasRoom).toBe(false);
    await results[0]!.ready();
    await room;
    await results[1]!.ready();
    for (const buffer of [x, ...results]) buffer.dispose();
    program.dispose();
  });

  it('lets timers have their turn between steps that are over at once', async () => {
    const program = await client.compile(accumulate, noCache);
    let state = client.upload(new Float32Array(4), 'f32', [4]);
    const x = client.upload(new Float32Array(4), 'f32', [4]);
    let fired = false;
    setTimeout(() => {
      fired = true;
    }, 1);
    // Nothing here waits for anything but the plugin, which runs so small a program within the call.
    while (!fired) {
      await client.room();
      const [next, sum] = program.execute([state, x]);
      state = next!;
      sum!.dispose();
    }
    for (const buffer of [state, x]) buffer.dispose();
    program.dispose();
  });

  it('takes the results of one execution as the first inputs of the next, as one object', async () => {
    const program = await client.compile(accumulate, noCache);
    const x = client.upload(Float32Array.of(1, 2, 3, 4), 'f32', [4]);
    const start = client.upload(new Float32Array(4), 'f32', [4]);
    let [results] = await program.executeOnDevices([{ buffers: [start, x] }]);
    for (let step = 0; step < 3; step++) {
      const carried = { results: results!, from: 0, count: 1 };
      // A carried input may not be another one as well.
      const twice = { carried, buffers: [results!.at(0)] };
      expect((await failure(() => program.executeOnDevices([twice]))).code).toBe('donated-twice');
      const sum = results!.at(1);
      [results] = await program.executeOnDevices([{ carried, buffers: [x] }]);
      expect(carried.results.at(0).disposed).toBe(true);
      sum.dispose();
      const again = failure(() => program.executeOnDevices([{ carried, buffers: [x] }]));
      expect((await again).code).toBe('buffer-disposed');
    }
    const wrong = { carried: { results: results!, from: 1, count: 1 }, buffers: [x] };
    expect((await failure(() => program.executeOnDevices([wrong]))).message).toBe(
      'accumulate: input 0 is f32[], but the program takes f32[4].',
    );
    expect(await results!.at(0).read()).toEqual(Float32Array.of(4, 8, 12, 16));
    expect(client.liveBuffers).toBe(3);
    for (const buffer of [results!.at(0), results!.at(1), x]) buffer.dispose();
    program.dispose();
  });

  it('checks the inputs, which the plugin does not', async () => {
    const program = await client.compile(accumulate, noCache);
    const state = client.upload(new Float32Array(4), 'f32', [4]);
    const five = client.upload(new Float32Array(5), 'f32', [5]);
    const integers = client.upload(new Int32Array(4), 'i32', [4]);
    expect((await failure(() => program.execute([state]))).message).toBe(
      'accumulate takes 2 inputs, but 1 were given.',
    );
    expect((await failure(() => program.execute([state, five]))).message).toBe(
      'accumulate: input 1 is f32[5], but the program takes f32[4].',
    );
    expect((await failure(() => program.execute([state, integers]))).message).toBe(
      'accumulate: input 1 is i32[4], but the program takes f32[4].',
    );
    expect((await failure(() => program.execute([state, state]))).code).toBe('donated-twice');
    for (const buffer of [five, integers]) buffer.dispose();
    const x = client.upload(new Float32Array(4), 'f32', [4]);
    const outputs = program.execute([state, x]);
    expect((await failure(() => program.execute([state, x]))).code).toBe('buffer-disposed');
    expect((await failure(() => state.read())).code).toBe('buffer-disposed');
    for (const buffer of [x, ...outputs]) buffer.dispose();
    program.dispose();
    expect((await failure(() => program.execute([x, x]))).code).toBe('executable-disposed');
  });

  it.each([
    ['nonsense', 'module @m { this is not a program }', 'compile-failed'],
    [
      'mismatch',
      `module @m { func.func public @main(%a: tensor<4xf32>) -> tensor<4xf32> {
         %b = stablehlo.constant dense<1.0> : tensor<5xf32>
         %c = stablehlo.add %a, %b : tensor<4xf32>
         return %c : tensor<4xf32> } }`,
      'compile-failed',
    ],
    [
      'custom call',
      `module @m { func.func public @main(%a: tensor<4xf32>) -> tensor<4xf32> {
         %b = stablehlo.custom_call @no_such_kernel(%a) : (tensor<4xf32>) -> tensor<4xf32>
         return %b : tensor<4xf32> } }`,
      'unknown-custom-call',
    ],
  ])('reports a program that does not compile: %s', async (name, text, code) => {
    const program = { name, text, inputs: [vector(4)], outputs: [vector(4)], donated: [] };
    const error = await failure(async () => {
      const compiled = await client.compile(program, noCache);
      const x = client.upload(new Float32Array(4), 'f32', [4]);
      try {
        await compiled.execute([x])[0]!.read();
      } finally {
        x.dispose();
      }
    });
    expect(error).toMatchObject({ code, exitStatus: 4 });
    expect(error.message).toContain(name);
    expect(error.message).not.toContain('\n');
  });

  it('refuses results that are not as declared, and unknown options', async () => {
    const wrongShape = { ...accumulate, outputs: [vector(5), accumulate.outputs[1]!] };
    expect((await failure(() => client.compile(wrongShape, noCache))).message).toBe(
      'accumulate: result 0 is f32[4], but f32[5] was declared.',
    );
    const tooFew = { ...accumulate, outputs: [vector(4)] };
    expect((await failure(() => client.compile(tooFew, noCache))).code).toBe('bad-program');
    const error = await failure(() =>
      client.compile(accumulate, { ...noCache, overrides: { xla_no_such_option: true } }),
    );
    expect(error.code).toBe('unknown-compile-option');
  });

  it('survives running out of memory', async () => {
    const huge = { elementType: 'f32', shape: [2 ** 38] } as const;
    const program = await client.compile(
      {
        name: 'huge',
        text: `module @m { func.func public @main(%a: tensor<f32>) -> tensor<${2 ** 38}xf32> {
          %b = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<${2 ** 38}xf32>
          return %b : tensor<${2 ** 38}xf32> } }`,
        inputs: [{ elementType: 'f32', shape: [] }],
        outputs: [huge],
        donated: [],
      },
      noCache,
    );
    const a = client.upload(Float32Array.of(1), 'f32', []);
    const error = await failure(async () => {
      const [b] = program.execute([a]);
      try {
        await b!.ready();
      } finally {
        b!.dispose();
      }
    });
    expect(error).toMatchObject({ code: 'out-of-memory', exitStatus: 4 });
    expect(await a.read()).toEqual(Float32Array.of(1));
    a.dispose();
    program.dispose();
  });

  it('says what an execution will need', async () => {
    const program = await client.compile(accumulate, noCache);
    expect(program.memory).toMatchObject({ arguments: 32, aliased: 16 });
    program.dispose();
  });
});

describe.skipIf(withoutPlugin)('several clients', () => {
  it('closes with work under way and frees what was left', async () => {
    const client = await openCpu();
    const program = await client.compile(slow, noCache);
    const x = client.upload(new Float32Array(1024 * 1024), 'f32', [1024, 1024]);
    program.execute([x]);
    await client.close();
    await client.close();
    expect(client.liveBuffers).toBe(0);
    expect((await failure(() => client.upload(new Float32Array(1), 'f32', [1]))).code).toBe('client-closed');
  });

  it('keeps the buffers of two clients apart and runs on two devices', async () => {
    const [one, two] = [await openCpu(), await openCpu({ clientOptions: { cpu_device_count: 2 } })];
    const program = await one.compile(accumulate, noCache);
    const foreign = two.upload(new Float32Array(4), 'f32', [4]);
    expect((await failure(() => program.execute([foreign, foreign]))).code).toBe('foreign-buffer');
    expect(two.deviceCount).toBe(2);
    const text = accumulate.text.replace(
      '@accumulate',
      '@accumulate attributes {mhlo.num_replicas = 2 : i32}',
    );
    const both = await two.compile({ ...accumulate, text }, { ...noCache, replicas: 2 });
    const inputs = [0, 1].map((device) => ({
      buffers: [
        two.upload(new Float32Array(4).fill(device), 'f32', [4], device),
        two.upload(new Float32Array(4).fill(1), 'f32', [4], device),
      ],
    }));
    const outputs = await both.executeOnDevices(inputs);
    expect(await Promise.all(outputs.map((row) => row.at(1).read()))).toEqual([
      Float32Array.of(4),
      Float32Array.of(8),
    ]);
    await one.close();
    await two.close();
  });

  it('refuses an unknown client option with the plugin’s words', async () => {
    const error = await failure(() => openCpu({ clientOptions: { no_such_option: 1 } }));
    expect(error).toMatchObject({ exitStatus: 4 });
    expect(error.message).toContain('no_such_option');
  });

  it('refuses a plugin of another device', async () => {
    const plugin = await findPlugin('cpu');
    expect((await failure(() => openCpu({ device: 'cuda', pluginPath: plugin.path }))).code).toBe(
      'wrong-device',
    );
  });
});

describe.skipIf(withoutPlugin)('the executable cache', () => {
  it('loads what was compiled before, recompiles what is damaged, and does without a folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparselaw-cache-'));
    const client = await openCpu();
    const before = process.env.SPARSELAW_CACHE_DIR;
    process.env.SPARSELAW_CACHE_DIR = folder;
    try {
      const run = async (settings = {}) => {
        const program = await client.compile(accumulate, settings);
        const inputs = [0, 1].map(() => client.upload(Float32Array.of(1, 2, 3, 4), 'f32', [4]));
        const outputs = program.execute(inputs);
        expect(await outputs[1]!.read()).toEqual(Float32Array.of(20));
        // Donation survives the way through the cache.
        expect(inputs[0]!.disposed).toBe(true);
        for (const buffer of [inputs[1]!, ...outputs]) buffer.dispose();
        program.dispose();
        return program.cached;
      };
      expect(await run()).toBe(false);
      expect(await run()).toBe(true);
      expect(await run({ overrides: { xla_cpu_enable_fast_math: true } })).toBe(false);
      const programs = join(folder, 'programs');
      for (const name of await readdir(programs)) {
        const path = join(programs, name);
        const bytes = await readFile(path);
        bytes[bytes.length >> 1]! ^= 1;
        await writeFile(path, bytes);
      }
      expect(await run()).toBe(false);
      expect(await run()).toBe(true);
      for (const name of await readdir(programs)) await writeFile(join(programs, name), 'short');
      expect(await run()).toBe(false);
      await rm(folder, { recursive: true });
      await writeFile(folder, 'a file where the folder should be');
      expect(await run()).toBe(false);
      expect(client.liveBuffers).toBe(0);
    } finally {
      if (before === undefined) delete process.env.SPARSELAW_CACHE_DIR;
      else process.env.SPARSELAW_CACHE_DIR = before;
      await client.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
