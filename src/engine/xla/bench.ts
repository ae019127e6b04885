import { benchmarkStep, type StepBenchmark } from '../bench-step.js';
import type { PluginLocation } from '../install/index.js';
import { xlaEngine } from './index.js';
import { openPlugin } from './open.js';
import type { PjrtClient, PjrtExecutable } from './pjrt/index.js';

/** What a plugin reaches on this machine, without any model. */
export interface EngineBenchmark {
  readonly name: string;
  readonly device: string;
  readonly plugin: string;
  /** Plugin loaded and client made, in seconds. */
  readonly openSeconds: number;
  /** float32 matrix product, 10⁹ floating-point operations a second, median of the rounds. */
  readonly matmulGflops: number;
  /** Compilation of that program, in seconds: anew, and loaded from the cache on disk. */
  readonly compileSeconds: number;
  readonly cachedCompileSeconds: number;
  /** Host time of queueing one execution of a program with 100 donated arguments and results, in milliseconds. */
  readonly hostOverheadMilliseconds: number;
  /** A training step of a small network, recorded, compiled and run as one program. */
  readonly step: StepBenchmark;
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

const ROUNDS = 5;
/** Side of the square matrices: large enough that the product, not the call, takes the time. */
const MATRIX = 1024;
const OVERHEAD_ARGUMENTS = 100;
const OVERHEAD_CALLS = 100;

const matrix = { elementType: 'f32', shape: [MATRIX, MATRIX] } as const;
const matmulProgram = () => {
  const type = `tensor<${MATRIX}x${MATRIX}xf32>`;
  return {
    name: 'matmul',
    text: `module @matmul {
  func.func public @main(%a: ${type}, %b: ${type}) -> ${type} {
    %c = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (${type}, ${type}) -> ${type}
    return %c : ${type}
  }
}
`,
    inputs: [matrix, matrix],
    outputs: [matrix],
    donated: [],
  };
};

const small = { elementType: 'f32', shape: [16] } as const;
function manyArguments() {
  const indices = Array.from({ length: OVERHEAD_ARGUMENTS }, (_, index) => index);
  const type = 'tensor<16xf32>';
  const inputs = indices.map((i) => `%a${i}: ${type} {tf.aliasing_output = ${i} : i32}`).join(', ');
  const lines = indices.map((i) => `    %r${i} = stablehlo.add %a${i}, %a${i} : ${type}`).join('\n');
  const types = indices.map(() => type).join(', ');
  return {
    name: 'many arguments',
    text: `module @many {
  func.func public @main(${inputs}) -> (${types}) {
${lines}
    return ${indices.map((i) => `%r${i}`).join(', ')} : ${types}
  }
}
`,
    inputs: indices.map(() => small),
    outputs: indices.map(() => small),
    donated: indices,
  };
}

async function measureMatmul(client: PjrtClient, program: PjrtExecutable): Promise<number> {
  const values = new Float32Array(MATRIX * MATRIX).map((_, index) => (index % 7) - 3);
  const [a, b] = [client.upload(values, 'f32', matrix.shape), client.upload(values, 'f32', matrix.shape)];
  const once = async (times: number) => {
    const started = performance.now();
    for (let i = 0; i < times; i++) {
      await client.room();
      const [product] = program.execute([a, b]);
      if (i === times - 1) await product!.ready();
      product!.dispose();
    }
    return (performance.now() - started) / 1000 / times;
  };
  const first = await once(2);
  // Each round takes about a tenth of a second, whatever the device.
  const times = Math.max(2, Math.min(2000, Math.round(0.1 / first)));
  const seconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) seconds.push(await once(times));
  a.dispose();
  b.dispose();
  return (2 * MATRIX ** 3) / median(seconds) / 1e9;
}

async function measureOverhead(client: PjrtClient): Promise<number> {
  const program = await client.compile(manyArguments(), { cache: false });
  let state = Array.from({ length: OVERHEAD_ARGUMENTS }, () =>
    client.upload(new Float32Array(16), 'f32', [16]),
  );
  const spent: number[] = [];
  for (let call = 0; call < OVERHEAD_CALLS; call++) {
    await state[0]!.ready();
    await client.room();
    const started = performance.now();
    state = program.execute(state);
    spent.push(performance.now() - started);
  }
  await state[0]!.ready();
  for (const buffer of state) buffer.dispose();
  program.dispose();
  return median(spent);
}

/** Measures a plugin: takes a few seconds. @throws SparselawError (status 4) */
export async function benchmarkPlugin(plugin: PluginLocation): Promise<EngineBenchmark> {
  const opened = performance.now();
  const client = await openPlugin(plugin);
  const openSeconds = (performance.now() - opened) / 1000;
  try {
    const cold = await client.compile(matmulProgram(), { cache: false });
    const matmulGflops = await measureMatmul(client, cold);
    cold.dispose();
    (await client.compile(matmulProgram())).dispose();
    const cached = await client.compile(matmulProgram());
    cached.dispose();
    return {
      name: plugin.name,
      device: client.deviceDescription,
      plugin: `${plugin.package} ${plugin.version}`.trim(),
      openSeconds,
      matmulGflops,
      compileSeconds: cold.compileSeconds,
      cachedCompileSeconds: cached.compileSeconds,
      hostOverheadMilliseconds: await measureOverhead(client),
      step: await benchmarkStep(xlaEngine(client, { device: plugin.device })),
    };
  } finally {
    await client.close();
  }
}
