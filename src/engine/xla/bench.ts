import { median } from '../../median.js';
import { benchmarkStep, type StepBenchmark } from '../bench-step.js';
import type { PluginLocation } from '../install/index.js';
import { benchmarkHost, type HostBenchmark, LEAF_COUNTS } from './host-bench.js';
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
  /** What a step costs the host, by the number of tensors in its state. */
  readonly host: readonly HostBenchmark[];
  /** A training step of a small network, recorded, compiled and run as one program. */
  readonly step: StepBenchmark;
}

const ROUNDS = 5;
/** Side of the square matrices: large enough that the product, not the call, takes the time. */
const MATRIX = 1024;

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
    const engine = xlaEngine(client, { device: plugin.device });
    const host: HostBenchmark[] = [];
    for (const leaves of LEAF_COUNTS) host.push(await benchmarkHost(engine, leaves));
    return {
      name: plugin.name,
      device: client.deviceDescription,
      plugin: `${plugin.package} ${plugin.version}`.trim(),
      openSeconds,
      matmulGflops,
      compileSeconds: cold.compileSeconds,
      cachedCompileSeconds: cached.compileSeconds,
      host,
      step: await benchmarkStep(engine),
    };
  } finally {
    await client.close();
  }
}
