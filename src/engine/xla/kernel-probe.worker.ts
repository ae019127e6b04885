import type { PluginLocation } from '../install/index.js';
import { createGraph, type Node } from './graph.js';
import { kernelsOf, PROVEN_KINDS } from './kernel-choice.js';
import { openPlugin } from './open.js';
import { add, broadcastTo, convert, multiply, reduce, scalarLike, unary } from './ops.js';
import { fuseRows } from './row-kernels.js';
import { emitModule } from './stablehlo.js';

/** Run by `compilesKernels` with a plugin's location as JSON: ends with status 0 when a kernel gives what it must. */

const ROWS = 513;
const WIDTH = 48;

/** x / √(mean x² + 1) · gain in bfloat16, and Σ x over the rows, as one kernel. */
function program() {
  const graph = createGraph();
  const input = (index: number, shape: number[]): Node =>
    graph.add({ op: 'parameter', index, name: `p${index}`, type: { element: 'f32', shape } });
  const parameters = [input(0, [ROWS, WIDTH]), input(1, [WIDTH])] as const;
  const [given, gain] = parameters;
  const x = convert(convert(given, 'bf16'), 'f32');
  const squares = reduce('add', multiply(x, x), [1], true);
  const scale = unary(
    'rsqrt',
    add(multiply(squares, scalarLike(squares, 1 / WIDTH)), scalarLike(squares, 1)),
  );
  const y = convert(multiply(multiply(x, scale), broadcastTo(gain, x.type.shape)), 'bf16');
  const fused = fuseRows(
    { parameters, results: [convert(y, 'f32'), reduce('add', x, [0])] },
    kernelsOf(PROVEN_KINDS),
  );
  return emitModule(
    fused.parameters.map((node, i) => ({ node, name: `p${i}` })),
    fused.results.map((node, i) => ({ node, name: `r${i}` })),
    { name: 'probe' },
  );
}

async function probe(plugin: PluginLocation): Promise<boolean> {
  const client = await openPlugin(plugin);
  const wide = { elementType: 'f32', shape: [ROWS, WIDTH] } as const;
  const thin = { elementType: 'f32', shape: [WIDTH] } as const;
  const source = { name: 'probe', text: program(), inputs: [wide, thin], outputs: [wide, thin], donated: [] };
  if (!source.text.includes('xla.gpu.triton')) return false;
  const executable = await client.compile(source, { cache: false });
  // Small whole numbers: exact in bfloat16, their sums too.
  const x = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => (i % 7) - 3);
  const gain = Float32Array.from({ length: WIDTH }, (_, i) => 1 + i);
  const inputs = [client.upload(x, 'f32', wide.shape), client.upload(gain, 'f32', thin.shape)];
  const [y, sums] = await Promise.all(executable.execute(inputs).map((each) => each.read()));
  return isRight(x, gain, y as Float32Array, sums as Float32Array);
}

function isRight(x: Float32Array, gain: Float32Array, y: Float32Array, sums: Float32Array): boolean {
  const expected = new Float32Array(WIDTH);
  for (let row = 0; row < ROWS; row++) {
    const values = x.subarray(row * WIDTH, (row + 1) * WIDTH);
    const scale = 1 / Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / WIDTH + 1);
    for (const [i, value] of values.entries()) {
      const want = value * scale * gain[i]!;
      // bfloat16 has 8 digits: half of the last one, and something for the root.
      if (!(Math.abs(y[row * WIDTH + i]! - want) <= Math.abs(want) * 2 ** -8)) return false;
      expected[i]! += value;
    }
  }
  return sums.every((sum, i) => sum === expected[i]);
}

const right = await probe(JSON.parse(process.argv[2]!) as PluginLocation);
process.exit(right ? 0 : 1);
