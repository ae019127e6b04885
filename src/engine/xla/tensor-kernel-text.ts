import type { Node } from './graph.js';
import type { Cut } from './kernel-choice.js';
import { tritonCall } from './triton-call.js';
import { sizeOf, type TensorType } from './types.js';

/** The text of kernels that go over many tensors, each of whose instances finds its tensor by its number. */

export type Stored = 'bf16' | 'f32';

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

/** float32 tensors → the same in bfloat16, those of each sequence one after the other. */
export function castCall(
  sequences: readonly (readonly Node[])[],
  types: readonly TensorType[],
  { lanesAtOnce: block, warps }: Cut,
) {
  const given = sequences.flat();
  const sizes = given.map(({ type }) => sizeOf(type.shape));
  const later: string[] = [];
  const outs = sequences.flatMap((sequence, i) => {
    let from = 0;
    return sequence.map((tensor, k) => {
      const out = k === 0 ? `%out${i}` : `%out${i}p${k}`;
      if (k > 0) {
        later.push(`%from${i}p${k} = arith.constant ${from} : i32`);
        later.push(`${out} = tt.addptr %out${i}, %from${i}p${k} : !tt.ptr<bf16>, i32`);
      }
      from += sizeOf(tensor.type.shape);
      return out;
    });
  });
  const { places, instances } = placesOf(sizes, block, (i) => [`%in${i}`, outs[i]!]);
  const text = kernelText(
    'casts',
    [
      ...given.map((_, i) => pointer(`%in${i}`, 'f32')),
      ...sequences.map((_, i) => pointer(`%out${i}`, 'bf16')),
    ],
    [
      ...later.map((line) => `    ${line}`),
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
  const operands = given.map(({ type }) => type);
  return { op: 'custom_call', ...tritonCall('casts', text, instances, warps, operands, types) } as const;
}

/** Tensors → each instance's sum of squares, [instances] float32. */
export function squareCall(
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
