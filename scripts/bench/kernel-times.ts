// Each kernel of our own against XLA's own form, on a GPU: whether it gives the same, and how long it takes.
//   npx tsc -p tsconfig.test.json --noEmit false --outDir dist-bench
//   node dist-bench/scripts/bench/kernel-times.js [--kinds norms,losses,…] [--all-cuts] [--device cuda] [--rounds 7]
//     [--bandwidth 4.8e12] [--matmul-peak 989e12]
// One JSON line for each kind, shape and cut: microseconds (median of the rounds; XLA's beside them, timed in turn),
// what the memory traffic alone would take at the bandwidth (bytes a second; an H200's unless given), and the largest
// difference: of finite values, as a share of the larger one (bfloat16 has 8 digits: 0.004 is one in the last);
// `unlike`: values of which one is not finite alone, which is wrong; `seconds`: all that the line took here, compilation
// and comparison with it. Then hostile values on odd shapes, where only the differences count; `atOverflow`: values that
// are unlike where a sum overflows in one order of its terms and not in another (test/engine/xla/overflow.ts), so that
// both are right.
// `pairs` is products with a kernel between them, XLA's form the same program without it. Its lines have what the
// arithmetic alone would take too (FLOP a second: an H200's in bfloat16, dense, by its data sheet), and the share of
// either bound that was reached; neither can be 1, for element-wise work is bound by bytes and the products by
// arithmetic, one after the other. Bytes are those of the joined form: each value is written once, and read once by every
// product and kernel that takes it; XLA's form moves more. `both` is the two parts in one program, as in a step, which
// casts the weights once. Differences are shares of a result's largest value: a sum over thousands of terms that comes
// near 0 is off by as much as any other. Hostile values: test/device/product-pairs.device.ts and its test without a GPU.
import { parseArgs } from 'node:util';
import { findPlugin } from '../../src/engine/install/index.js';
import { createGraph, type Node } from '../../src/engine/xla/graph.js';
import {
  type Cut,
  KERNEL_KINDS,
  type KernelKind,
  STARTING_CUTS,
} from '../../src/engine/xla/kernel-choice.js';
import { openPlugin } from '../../src/engine/xla/open.js';
import { add, convert, multiply, reduce } from '../../src/engine/xla/ops.js';
import type { PjrtBuffer, PjrtClient, PjrtExecutable } from '../../src/engine/xla/pjrt/index.js';
import { joinProducts } from '../../src/engine/xla/product-pairs.js';
import type { GraphProgram } from '../../src/engine/xla/rebuild.js';
import { fuseRows } from '../../src/engine/xla/row-kernels.js';
import { emitModule } from '../../src/engine/xla/stablehlo.js';
import { fuseTensors } from '../../src/engine/xla/tensor-kernels.js';
import { CANDIDATES } from '../../src/engine/xla/tune.js';
import { sizeOf, type TensorType } from '../../src/engine/xla/types.js';
import { median } from '../../src/median.js';
import {
  DRAWS,
  draws,
  ELEMENTS,
  GATE,
  GATE_PARTS,
  gate,
  gateTypes,
  WORKS,
  type Work,
} from '../../test/engine/xla/kernel-programs.js';
import { atTheEdge, magnitudesOf } from '../../test/engine/xla/overflow.js';

const { values: flags } = parseArgs({
  options: {
    kinds: { type: 'string', default: KERNEL_KINDS.join(',') },
    device: { type: 'string', default: 'cuda' },
    'all-cuts': { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
    bandwidth: { type: 'string', default: '4.8e12' },
    'matmul-peak': { type: 'string', default: '989e12' },
  },
});
/** A program holds the work so often, on operands of its own each, so that what a call costs the host is shared. */
const REPEATS = 8;
/** Executions of a round. */
const CALLS = 20;

interface Case {
  readonly kind: KernelKind;
  readonly what: string;
  readonly types: readonly TensorType[];
  record(parameters: Node[]): Node[];
  /** Bytes read and written by one pass over operands and results; with products, by each of the passes. */
  readonly bytes: number;
  /** Of matrix products. */
  readonly flops?: number;
  /** What of the program is timed, of the kernels' form and of XLA's, and how many results of a set are compared: the first. */
  readonly part?: { readonly of: (program: GraphProgram) => GraphProgram; readonly results: number };
}

const bytesOf = ({ element, shape }: TensorType) => sizeOf(shape) * (element === 'bf16' ? 2 : 4);

/** The same work on several sets of operands. */
function repeated(types: readonly TensorType[], record: (parameters: Node[]) => Node[], times: number) {
  const graph = createGraph();
  const parameters = Array.from({ length: times * types.length }, (_, index) =>
    graph.add({ op: 'parameter', index, name: `p${index}`, type: types[index % types.length]! }),
  );
  const results = Array.from({ length: times }, (_, i) =>
    record(parameters.slice(i * types.length, (i + 1) * types.length)),
  ).flat();
  return { parameters, results };
}

function rowCase(kind: KernelKind, work: Work, rows: number, width: number): Case {
  const shapes = { rows: [rows, width], gain: [width], ids: [rows], scale: [rows, 1] };
  const types = work.takes.map((what): TensorType => ({ element: ELEMENTS[what], shape: shapes[what] }));
  const record = (parameters: Node[]) => work.record(...parameters);
  const { results } = repeated(types, record, 1);
  const bytes = [...types, ...results.map(({ type }) => type)].reduce((sum, type) => sum + bytesOf(type), 0);
  return { kind, what: `${rows}x${width}`, types, record, bytes };
}

/** Weights of a network: `layers` times four of [D, D] and three of [D, F]. */
function tensorCase(kind: 'casts' | 'squares', layers: number, width: number, ff: number): Case {
  const shapes = Array.from({ length: layers }, () => [
    ...Array.from({ length: 4 }, () => [width, width]),
    ...[
      [ff, width],
      [ff, width],
      [width, ff],
    ],
  ]).flat();
  const element = kind === 'casts' ? 'f32' : 'bf16';
  const types = shapes.map((shape): TensorType => ({ element, shape }));
  const record = (parameters: Node[]) => {
    if (kind === 'casts') return parameters.map((x) => convert(x, 'bf16'));
    const squares = parameters.map((stored) => {
      const x = convert(stored, 'f32');
      return reduce('add', multiply(x, x), [0, 1]);
    });
    return [squares.reduce(add)];
  };
  const read = types.reduce((sum, type) => sum + bytesOf(type), 0);
  const bytes = kind === 'casts' ? read * 1.5 : read;
  return { kind, what: `${shapes.length} tensors, ${layers}x${width}x${ff}`, types, record, bytes };
}

/** Gate and up with their gradients. Bytes: see above; weights are stored in float32, so are their gradients. */
function gateCases(rows: number, width: number, ff: number): Case[] {
  const [values, operand, weights] = [rows * ff, rows * width, 2 * width * ff];
  const cast = 6 * weights;
  // The product; the activation.
  const forward = 2 * (operand + weights + 2 * values) + 2 * 3 * values;
  // Both gradients; the operand's; the weights', and those widened.
  const backward = 2 * 5 * values + 2 * 2 * (2 * values + weights + operand) + cast;
  const flops = 2 * operand * 2 * ff;
  const each = (name: keyof typeof GATE_PARTS, results: number, bytes: number, products: number): Case => ({
    ...{
      kind: 'pairs',
      what: `${name} ${rows}x${width}x${ff}`,
      types: gateTypes(rows, width, ff),
      record: gate,
    },
    ...{ bytes: cast + bytes, flops: products * flops, part: { of: GATE_PARTS[name], results } },
  });
  return [
    each('forward', 1, forward, 1),
    each('backward', GATE.results - 1, backward, 2),
    each('both', GATE.results, forward + backward, 3),
  ];
}

async function compile(client: PjrtClient, each: Case, times: number, cut: Cut | undefined) {
  const plain = repeated(each.types, each.record, times);
  // A processor takes none: a rehearsal compares XLA's form with itself.
  const choose = () => (flags.device === 'cpu' ? undefined : cut);
  const whole =
    each.kind === 'pairs' ? joinProducts(plain, choose) : fuseTensors(fuseRows(plain, choose), choose);
  const fused = each.part ? each.part.of(whole) : whole;
  const text = emitModule(
    fused.parameters.map((node, i) => ({ node, name: `p${i}` })),
    fused.results.map((node, i) => ({ node, name: `r${i}` })),
    { name: 'kernels' },
  );
  const calls = text.split('xla.gpu.triton').length - 1;
  const spec = ({ type }: Node) => ({ elementType: type.element, shape: type.shape });
  const source = {
    name: 'kernels',
    text,
    inputs: fused.parameters.map(spec),
    outputs: fused.results.map(spec),
  };
  return { calls, executable: await client.compile({ ...source, donated: [] }, { cache: false }) };
}

const wideType = (type: TensorType): TensorType => ({
  ...type,
  element: type.element === 'i32' ? 'i32' : 'f32',
});

/** What makes operands of the case's element types from float32. */
const preparation = (client: PjrtClient, each: Case) =>
  compile(
    client,
    {
      ...{ kind: each.kind, what: each.what, bytes: each.bytes, types: each.types.map(wideType) },
      record: (all) => all.map((x, i) => convert(x, each.types[i]!.element)),
    },
    1,
    undefined,
  );

/** So many values are drawn for an operand, and repeated. */
const DRAWN = 2 ** 13;

/** Sets of operands on the device, equal in value: drawn and uploaded once, since both take the host long. */
async function operands(
  client: PjrtClient,
  each: Case,
  prepare: PjrtExecutable,
  times: number,
  draw: keyof typeof DRAWS,
): Promise<PjrtBuffer[]> {
  const uploaded = each.types.map(wideType).map(({ element, shape }, i) => {
    const length = sizeOf(shape);
    if (element === 'i32') {
      const width = each.types[0]!.shape[1]!;
      const ids = new Int32Array(length);
      for (let k = 0; k < length; k++) ids[k] = (k * 31) % width;
      return client.upload(ids, 'i32', shape);
    }
    const own = i === 0 || each.types.length > 8 ? draw : 'ordinary values';
    const some = draws(Math.min(length, DRAWN), own, 'f32', i);
    const values = new Float32Array(length);
    for (let from = 0; from < length; from += DRAWN) values.set(some.subarray(0, length - from), from);
    return client.upload(values, 'f32', shape);
  });
  const sets = Array.from({ length: times }, () => prepare.execute(uploaded)).flat();
  await sets.at(-1)!.ready();
  for (const buffer of uploaded) buffer.dispose();
  return sets;
}

/** Of the finite ones. */
function largestOf(values: Float32Array): number {
  let largest = 0;
  for (let k = 0; k < values.length; k++) {
    const size = Math.abs(values[k]!);
    if (size > largest && size < Number.POSITIVE_INFINITY) largest = size;
  }
  return largest;
}

/** Plain loops: a case has up to 10⁹ results, for which iterators and callbacks take minutes. */
function compare(a: Float32Array, b: Float32Array, mayOverflow: (element: number) => boolean, least: number) {
  let [largest, unlike, atOverflow] = [0, 0, 0];
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[k]!, b[k]!];
    if (Number.isFinite(x) && Number.isFinite(y)) {
      const difference = Math.abs(x - y) / Math.max(Math.abs(x), Math.abs(y), least);
      if (difference > largest) largest = difference;
    } else if (!Object.is(x, y)) {
      if (mayOverflow(k)) atOverflow += 1;
      else unlike += 1;
    }
  }
  return { largest, unlike, atOverflow };
}

/** Of the first and the last set's results; all sets are equal. */
async function difference(
  own: PjrtBuffer[],
  plain: PjrtBuffer[],
  sets: number,
  mayOverflow: (result: number, element: number) => boolean = () => false,
  leastOf: (values: Float32Array) => number = () => 1e-3,
) {
  let [largest, unlike, atOverflow] = [0, 0, 0];
  const ofSet = own.length / sets;
  for (let i = 0; i < own.length; i++) {
    if (i >= ofSet && i < own.length - ofSet) continue;
    const [a, b] = [await floats(own[i]!), await floats(plain[i]!)];
    const found = compare(a, b, (element) => mayOverflow(i % ofSet, element), leastOf(b));
    largest = Math.max(largest, found.largest);
    unlike += found.unlike;
    atOverflow += found.atOverflow;
  }
  return { largestDifference: +largest.toPrecision(3), unlike, ...(atOverflow > 0 && { atOverflow }) };
}

async function floats(buffer: PjrtBuffer): Promise<Float32Array> {
  const values = await buffer.read();
  if (!(values instanceof Uint16Array)) return values as Float32Array;
  const bits = new Uint32Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = values[i]! << 16;
  return new Float32Array(bits.buffer);
}

async function microseconds(
  client: PjrtClient,
  program: PjrtExecutable,
  inputs: PjrtBuffer[],
): Promise<number> {
  const started = performance.now();
  for (let call = 0; call < CALLS; call++) {
    await client.room();
    const results = program.execute(inputs);
    if (call === CALLS - 1) await results.at(-1)!.ready();
    for (const buffer of results) buffer.dispose();
  }
  return ((performance.now() - started) * 1000) / CALLS / REPEATS;
}

/** Of nothing (`--rounds 0`: compared, not timed): no number. */
async function measure(client: PjrtClient, each: Case, cuts: readonly Cut[]): Promise<void> {
  let since = performance.now();
  const prepare = (await preparation(client, each)).executable;
  const inputs = await operands(client, each, prepare, REPEATS, 'ordinary values');
  const plain = await compile(client, each, REPEATS, undefined);
  const expected = plain.executable.execute(inputs);
  for (const cut of cuts) {
    const own = await compile(client, each, REPEATS, cut);
    const actual = own.executable.execute(inputs);
    const compared = each.part && REPEATS * each.part.results;
    const [some, others] = [actual.slice(0, compared), expected.slice(0, compared)];
    const found = await difference(some, others, REPEATS, undefined, each.part && largestOf);
    for (const buffer of actual) buffer.dispose();
    const times: [number[], number[]] = [[], []];
    for (let round = 0; round < Number(flags.rounds); round++) {
      times[0].push(await microseconds(client, own.executable, inputs));
      times[1].push(await microseconds(client, plain.executable, inputs));
    }
    own.executable.dispose();
    const [microsecondsOwn, microsecondsXla] = times.map((all) => +median(all).toFixed(2));
    const bandwidthMicroseconds = +((each.bytes / Number(flags.bandwidth)) * 1e6).toFixed(2);
    const { kind, what, bytes, flops } = each;
    const shareOf = (bound: number) => +(bound / microsecondsOwn!).toFixed(3);
    const matmulMicroseconds = flops && +((flops / Number(flags['matmul-peak'])) * 1e6).toFixed(2);
    console.log(
      JSON.stringify({
        ...{ kind, what, cut, calls: own.calls, microseconds: microsecondsOwn, microsecondsXla },
        bandwidthMicroseconds,
        ...(matmulMicroseconds && {
          ...{ bytes, bandwidthShare: shareOf(bandwidthMicroseconds) },
          ...{ flops, matmulMicroseconds, matmulShare: shareOf(matmulMicroseconds) },
        }),
        ...found,
        seconds: +((performance.now() - since) / 1000).toFixed(1),
      }),
    );
    since = performance.now();
  }
  for (const buffer of [...inputs, ...expected]) buffer.dispose();
  plain.executable.dispose();
  prepare.dispose();
}

async function check(client: PjrtClient, each: Case): Promise<void> {
  const prepare = (await preparation(client, each)).executable;
  const own = await compile(client, each, 1, STARTING_CUTS[each.kind]);
  const plain = await compile(client, each, 1, undefined);
  const edges = { ...each, record: (all: Node[]) => magnitudesOf(each.record(all)) };
  const { results } = repeated(each.types, each.record, 1);
  const sums = magnitudesOf(results).length > 0 ? await compile(client, edges, 1, undefined) : undefined;
  for (const draw of Object.keys(DRAWS)) {
    const inputs = await operands(client, each, prepare, 1, draw);
    const [actual, expected] = [own.executable.execute(inputs), plain.executable.execute(inputs)];
    const magnitudes = sums?.executable.execute(inputs) ?? [];
    const mayOverflow = atTheEdge(results, await Promise.all(magnitudes.map(floats)));
    const found = await difference(actual, expected, 1, mayOverflow);
    const { kind, what } = each;
    console.log(JSON.stringify({ kind, what, values: draw, calls: own.calls, ...found }));
    for (const buffer of [...inputs, ...actual, ...expected, ...magnitudes]) buffer.dispose();
  }
  for (const program of [prepare, own.executable, plain.executable]) program.dispose();
  sums?.executable.dispose();
}

const ROWS: [KernelKind, Work][] = [
  ['norms', WORKS.norm],
  ['normGradients', WORKS.normGradient],
  ['losses', WORKS.loss],
];
/** Sizes A (and C, whose rows are the same), B; or something that a processor does in a moment. */
const SIZES = flags.small
  ? [{ rows: 512, width: 64, vocabulary: 128, layers: 1, ff: 96 }]
  : [
      { rows: 16_384, width: 768, vocabulary: 4096, layers: 4, ff: 2048 },
      { rows: 32_768, width: 256, vocabulary: 4096, layers: 8, ff: 768 },
    ];
const kinds = flags.kinds.split(',');
const wanted = (kind: KernelKind) => kinds.includes(kind);
const client = await openPlugin(await findPlugin(flags.device === 'cpu' ? 'cpu' : 'cuda'), {
  xla_allow_excess_precision: false,
});
const attempt = async (each: Case, run: () => Promise<void>) =>
  run().catch((error: Error) =>
    console.log(JSON.stringify({ kind: each.kind, what: each.what, failed: error.message.slice(0, 500) })),
  );
const OVER_TENSORS = ['squares', 'casts'] as const;
const sized = SIZES.flatMap(({ rows, width, vocabulary, layers, ff }) => [
  ...ROWS.map(([kind, work]) => rowCase(kind, work, rows, kind === 'losses' ? vocabulary : width)),
  ...OVER_TENSORS.map((kind) => tensorCase(kind, layers, width, ff)),
]);
// A call's results cost the host 4 µs each, more than copying the tensors of A and B: few large ones, for the device.
const large = flags.small ? [] : OVER_TENSORS.map((kind) => tensorCase(kind, 1, 3072, 8192));
// C's layers differ from A's in this.
const gates = [...SIZES, ...(flags.small ? [] : [{ rows: 16_384, width: 768, ff: 1920 }])];
const pairs = gates.flatMap(({ rows, width, ff }) => gateCases(rows, width, ff));
for (const each of [...sized, ...large, ...pairs].filter(({ kind }) => wanted(kind))) {
  const cuts = flags['all-cuts'] ? CANDIDATES[each.kind] : [STARTING_CUTS[each.kind]];
  await attempt(each, () => measure(client, each, cuts));
}
const odd = [
  ...ROWS.flatMap(([kind, work]) =>
    [
      // Too few rows: no call.
      [1, 768],
      [511, 64],
      [512, 16],
      [513, 33],
      [1031, 100],
      [700, 2000],
      [517, 4096],
    ].map(([rows, width]) => rowCase(kind, work, rows!, width!)),
  ),
  ...OVER_TENSORS.flatMap((kind) => [tensorCase(kind, 1, 1, 3), tensorCase(kind, 9, 33, 65)]),
];
for (const each of odd.filter(({ kind }) => wanted(kind))) await attempt(each, () => check(client, each));
await client.close();
