import type { Node } from './graph.js';
import type { Cut, KernelChoice, KernelKind } from './kernel-choice.js';
import { add, reduce, result } from './ops.js';
import { allNodes } from './precision.js';
import { type GraphProgram, rebuild } from './rebuild.js';
import { tritonCall } from './triton-call.js';
import { sizeOf, type TensorType } from './types.js';

/**
 * One kernel for the like work on many tensors. XLA launches a kernel for each weight that a product takes in
 * bfloat16, and two for each gradient whose squares are summed: hundreds of short ones in a step, each with a gap
 * before it. Here, one kernel of our own goes over all of them; each of its instances finds its tensor by its number.
 *
 * - `casts`: float32 arguments of the program, rounded to bfloat16.
 * - `squares`: sums of all squares of a tensor that are added to each other.
 */

/** Kernels take at most 4 KiB of arguments. */
const MOST_POINTERS = 500;

type Stored = 'bf16' | 'f32';

interface Tensors {
  readonly kind: Extract<KernelKind, 'casts' | 'squares'>;
  readonly stored: Stored;
  readonly sources: readonly Node[];
}

/** Places are numbered in 32 bits. */
const isNumbered = ({ type: { shape } }: Node) => sizeOf(shape) > 0 && sizeOf(shape) < 2 ** 31 - 2 ** 20;

/** Arguments that a program takes in bfloat16, by their copies. */
function castsOf(nodes: readonly Node[]): Node[] {
  return nodes.filter(({ operation, inputs: [x] }) => {
    if (operation.op !== 'convert' || operation.element !== 'bf16') return false;
    return x!.operation.op === 'parameter' && x!.type.element === 'f32' && isNumbered(x!);
  });
}

/** What is squared and summed up, as it is stored; undefined for anything else. */
function squared({ operation, inputs: [product] }: Node): Node | undefined {
  if (operation.op !== 'reduce' || operation.combiner !== 'add') return undefined;
  if (operation.axes.length !== product!.type.shape.length || product!.operation.op !== 'multiply')
    return undefined;
  const [x, same] = product!.inputs;
  if (x !== same || !isNumbered(x!) || x!.type.element !== 'f32') return undefined;
  const stored = x!.operation.op === 'convert' ? x!.inputs[0]! : x!;
  return stored.type.element === 'bf16' ? stored : x;
}

interface Sum {
  /** The addition that all others lead to. */
  readonly root: Node;
  readonly terms: readonly Node[];
}

/** Scalars that are added to each other, and to nothing else on the way. */
function sumsOf(nodes: readonly Node[], results: readonly Node[]): Sum[] {
  const isSum = ({ operation, type }: Node) =>
    operation.op === 'add' && type.element === 'f32' && type.shape.length === 0;
  const users = new Map<Node, Node[]>();
  for (const node of nodes)
    for (const input of node.inputs) users.set(input, [...(users.get(input) ?? []), node]);
  const isInner = (node: Node) => {
    const [user, ...others] = users.get(node) ?? [];
    return isSum(node) && user !== undefined && isSum(user) && others.length === 0 && !results.includes(node);
  };
  const termsOf = (node: Node): Node[] =>
    node.inputs.flatMap((input) => (isInner(input) ? termsOf(input) : [input]));
  return nodes
    .filter((node) => isSum(node) && !isInner(node))
    .map((root) => ({ root, terms: termsOf(root) }));
}

/** As few kernels as their arguments allow; a single tensor is left to XLA. */
function cutUp<T>(items: readonly T[], most: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < items.length; i += most) parts.push(items.slice(i, i + most));
  return parts.filter((part) => part.length > 1);
}

/** The program with such kernels in it. Programs with loops are left as they are. */
export function fuseTensors(program: GraphProgram, choose: KernelChoice): GraphProgram {
  const roots = [...program.parameters, ...program.results];
  const nodes = allNodes(roots);
  if (nodes.some(({ operation }) => operation.op === 'loop')) return program;
  const cutFor = (kind: KernelKind, tensors: readonly Node[]): Cut | undefined =>
    choose(kind, [tensors.reduce((total, { type }) => total + sizeOf(type.shape), 0)]);

  const copies = new Map<Node, { part: readonly Node[]; cut: Cut; index: number }>();
  for (const part of cutUp(castsOf(nodes), MOST_POINTERS / 2)) {
    const cut = cutFor('casts', part);
    if (cut) part.forEach((copy, index) => void copies.set(copy, { part, cut, index }));
  }

  const sums = new Map<Node, { groups: Tensors[]; others: Node[]; cut: Cut }>();
  for (const { root, terms } of sumsOf(nodes, program.results)) {
    const groups = (['bf16', 'f32'] as const).flatMap((stored) => {
      const own = terms.flatMap((term) => squared(term) ?? []).filter(({ type }) => type.element === stored);
      return cutUp(own, MOST_POINTERS - 1).map((sources): Tensors => ({ kind: 'squares', stored, sources }));
    });
    const taken = new Set(groups.flatMap(({ sources }) => sources));
    const cut = groups.length > 0 ? cutFor('squares', [...taken]) : undefined;
    const others = terms.filter((term) => !taken.has(squared(term)!));
    if (cut) sums.set(root, { groups, others, cut });
  }
  if (copies.size === 0 && sums.size === 0) return program;

  const sources = (node: Node): readonly Node[] => {
    const copy = copies.get(node);
    if (copy) return copy.part.map(({ inputs }) => inputs[0]!);
    const sum = sums.get(node);
    return sum ? [...sum.groups.flatMap((group) => group.sources), ...sum.others] : node.inputs;
  };
  return rebuild(program, sources, (node, moved, graph) => {
    const copy = copies.get(node);
    if (copy) {
      const given = copy.part.map(({ inputs }) => moved(inputs[0]!));
      return result(graph.add(castCall(given, copy.cut), ...given), copy.index);
    }
    const sum = sums.get(node);
    if (!sum) return graph.add(node.operation, ...node.inputs.map(moved));
    const parts = sum.groups.map(({ stored, sources: own }) => {
      const given = own.map(moved);
      return reduce('add', graph.add(squareCall(given, stored, sum.cut), ...given), [0]);
    });
    return [...parts, ...sum.others.map(moved)].reduce(add);
  });
}

interface Place {
  /** Elements of the tensor, and the first instance that works on it. */
  readonly size: number;
  readonly first: number;
  /** What is handed to the instance: pointers, by name. */
  readonly pointers: readonly string[];
}

const instancesOf = (size: number, ofInstance: number) => Math.ceil(size / ofInstance);

function placesOf(sizes: readonly number[], ofInstance: number, pointers: (i: number) => string[]) {
  let first = 0;
  const places = sizes.map((size, i): Place => {
    const place = { size, first, pointers: pointers(i) };
    first += instancesOf(size, ofInstance);
    return place;
  });
  return { places, instances: first };
}

/**
 * Lines that choose among places by the number of the instance, halving them: `%own#0` … are the pointers, then the
 * first instance and the size.
 */
function choice(places: readonly Place[], types: readonly string[]): string[] {
  const lines: string[] = [];
  let next = 0;
  const all = [...types, 'i32', 'i32'].join(', ');
  const choose = (some: readonly Place[], name: string, indent: string): void => {
    if (some.length === 1) {
      const { size, first, pointers } = some[0]!;
      const [from, length] = [`%n${next++}`, `%n${next++}`];
      lines.push(`${indent}${from} = arith.constant ${first} : i32`);
      lines.push(`${indent}${length} = arith.constant ${size} : i32`);
      lines.push(`${indent}scf.yield ${[...pointers, from, length].join(', ')} : ${all}`);
      return;
    }
    const half = some.length >> 1;
    const [limit, before] = [`%n${next++}`, `%n${next++}`];
    lines.push(`${indent}${limit} = arith.constant ${some[half]!.first} : i32`);
    lines.push(`${indent}${before} = arith.cmpi slt, %instance, ${limit} : i32`);
    lines.push(`${indent}${name}:${types.length + 2} = scf.if ${before} -> (${all}) {`);
    const branch = (part: readonly Place[]) => {
      const inner = `%n${next++}`;
      choose(part, inner, `${indent}  `);
      if (part.length > 1) {
        const values = [...types, 'i32', 'i32'].map((_, i) => `${inner}#${i}`);
        lines.push(`${indent}  scf.yield ${values.join(', ')} : ${all}`);
      }
    };
    branch(some.slice(0, half));
    lines.push(`${indent}} else {`);
    branch(some.slice(half));
    lines.push(`${indent}}`);
  };
  choose(places, '%own', '    ');
  return lines;
}

const pointer = (name: string, stored: Stored) => `${name}: !tt.ptr<${stored}> {tt.divisibility = 16 : i32}`;

const kernelText = (name: string, pointers: readonly string[], lines: readonly string[]) =>
  [
    'module {',
    `  tt.func public @${name}(${pointers.join(', ')}) {`,
    '    %instance = tt.get_program_id x : i32',
    ...lines,
    '    tt.return',
    '  }',
    '}',
  ].join('\n');

/** Lines that number an instance's elements from `%start` and mask those past the tensor's end. */
const elements = (block: number, indent: string) =>
  [
    `%starts = tt.splat %start : i32 -> tensor<${block}xi32>`,
    `%range = tt.make_range {end = ${block} : i32, start = 0 : i32} : tensor<${block}xi32>`,
    `%places = arith.addi %starts, %range : tensor<${block}xi32>`,
    `%lengths = tt.splat %own#SIZE : i32 -> tensor<${block}xi32>`,
    `%mask = arith.cmpi slt, %places, %lengths : tensor<${block}xi32>`,
  ].map((line) => indent + line);

const pointersTo = (block: number, stored: Stored) => `tensor<${block}x!tt.ptr<${stored}>>`;
const address = (name: string, from: string, block: number, stored: Stored) => [
  `${name}s = tt.splat ${from} : !tt.ptr<${stored}> -> ${pointersTo(block, stored)}`,
  `${name} = tt.addptr ${name}s, %places : ${pointersTo(block, stored)}, tensor<${block}xi32>`,
];

/** float32 tensors → the same in bfloat16. */
function castCall(given: readonly Node[], { lanesAtOnce: block, warps }: Cut) {
  const sizes = given.map(({ type }) => sizeOf(type.shape));
  const { places, instances } = placesOf(sizes, block, (i) => [`%in${i}`, `%out${i}`]);
  const text = kernelText(
    'casts',
    [...given.map((_, i) => pointer(`%in${i}`, 'f32')), ...given.map((_, i) => pointer(`%out${i}`, 'bf16'))],
    [
      ...choice(places, ['!tt.ptr<f32>', '!tt.ptr<bf16>']),
      ...[
        '%local = arith.subi %instance, %own#2 : i32',
        `%block = arith.constant ${block} : i32`,
        '%start = arith.muli %local, %block : i32',
      ].map((line) => `    ${line}`),
      ...elements(block, '    ').map((line) => line.replace('SIZE', '3')),
      ...[
        ...address('%from', '%own#0', block, 'f32'),
        `%zeros = arith.constant dense<0.0> : tensor<${block}xf32>`,
        `%value = tt.load %from, %mask, %zeros : ${pointersTo(block, 'f32')}`,
        `%rounded = arith.truncf %value : tensor<${block}xf32> to tensor<${block}xbf16>`,
        ...address('%to', '%own#1', block, 'bf16'),
        `tt.store %to, %rounded, %mask : ${pointersTo(block, 'bf16')}`,
      ].map((line) => `    ${line}`),
    ],
  );
  const types = given.map(({ type }): TensorType => ({ element: 'bf16', shape: type.shape }));
  const operands = given.map(({ type }) => type);
  return { op: 'custom_call', ...tritonCall('casts', text, instances, warps, operands, types) } as const;
}

/** Tensors → each instance's sum of squares, [instances] float32. */
function squareCall(
  given: readonly Node[],
  stored: Stored,
  { lanesAtOnce: block, rowsOfInstance, warps }: Cut,
) {
  const sizes = given.map(({ type }) => sizeOf(type.shape));
  const { places, instances } = placesOf(sizes, block * rowsOfInstance, (i) => [`%in${i}`]);
  const floats = `tensor<${block}xf32>`;
  const value = stored === 'f32' ? '%loaded' : '%value';
  const text = kernelText(
    'squares',
    [...given.map((_, i) => pointer(`%in${i}`, stored)), pointer('%out', 'f32')],
    [
      ...choice(places, [`!tt.ptr<${stored}>`]),
      ...[
        '%local = arith.subi %instance, %own#1 : i32',
        `%block = arith.constant ${block} : i32`,
        `%each = arith.constant ${block * rowsOfInstance} : i32`,
        '%first = arith.muli %local, %each : i32',
        '%zero = arith.constant 0 : i32',
        '%one = arith.constant 1 : i32',
        `%rounds = arith.constant ${rowsOfInstance} : i32`,
        `%nothing = arith.constant dense<0.0> : ${floats}`,
        `%none = arith.constant dense<0.0> : tensor<${block}x${stored}>`,
        `%total = scf.for %round = %zero to %rounds step %one iter_args(%sum = %nothing) -> (${floats})  : i32 {`,
      ].map((line) => `    ${line}`),
      ...['%offset = arith.muli %round, %block : i32', '%start = arith.addi %first, %offset : i32'].map(
        (line) => `      ${line}`,
      ),
      ...elements(block, '      ').map((line) => line.replace('SIZE', '2')),
      ...[
        ...address('%from', '%own#0', block, stored),
        `%loaded = tt.load %from, %mask, %none : ${pointersTo(block, stored)}`,
        ...(stored === 'f32'
          ? []
          : [`%value = arith.extf %loaded : tensor<${block}x${stored}> to ${floats}`]),
        `%square = arith.mulf ${value}, ${value} : ${floats}`,
        `%after = arith.addf %sum, %square : ${floats}`,
        `scf.yield %after : ${floats}`,
      ].map((line) => `      ${line}`),
      ...[
        '}',
        `%all = "tt.reduce"(%total) <{axis = 0 : i32}> ({ ^bb0(%a: f32, %b: f32): %s = arith.addf %a, %b : f32 tt.reduce.return %s : f32 }) : (${floats}) -> f32`,
        '%to = tt.addptr %out, %instance : !tt.ptr<f32>, i32',
        'tt.store %to, %all : !tt.ptr<f32>',
      ].map((line) => `    ${line}`),
    ],
  );
  const operands = given.map(({ type }) => type);
  const types: TensorType[] = [{ element: 'f32', shape: [instances] }];
  return { op: 'custom_call', ...tritonCall('squares', text, instances, warps, operands, types) } as const;
}
