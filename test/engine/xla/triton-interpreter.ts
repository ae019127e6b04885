import { roundTo } from '../../../src/engine/xla/literals.js';

/**
 * Runs kernels in Triton's IR, as our builder prints them, on plain arrays: float32 and bfloat16 rounded after every
 * operation, each program instance in turn. Stricter than a device: an access outside of its buffer, and an element
 * that is stored twice, are errors; what was never stored stays NaN.
 */

export type Memory = Float64Array;

interface Buffer {
  readonly name: string;
  readonly memory: Memory;
  /** How often each element was stored; undefined for operands. */
  readonly stores?: Uint8Array;
}

/** A block of values (a scalar has no dims); of pointers, `buffer` says into what and the values are offsets. */
interface Value {
  readonly element: string;
  readonly dims: readonly number[];
  readonly data: Float64Array;
  readonly buffer?: Buffer;
}

interface Line {
  readonly results: readonly string[];
  readonly text: string;
  readonly body?: readonly Line[];
  readonly otherwise?: readonly Line[];
}

const sizeOf = (dims: readonly number[]) => dims.reduce((product, n) => product * n, 1);

/** Much faster than `Float64Array.from` on an iterable. */
export function filled(length: number, fill: (i: number) => number): Float64Array {
  const data = new Float64Array(length);
  for (let i = 0; i < length; i++) data[i] = fill(i);
  return data;
}

/** `tensor<4x8xf32>`, `i32`, `!tt.ptr<bf16>`, `tensor<4x!tt.ptr<f32>>`. */
function typeOf(text: string): { element: string; dims: number[] } {
  const tensor = /^tensor<((?:\d+x)*)(.*)>$/.exec(text.trim());
  if (!tensor) return { element: text.trim(), dims: [] };
  return { element: tensor[2]!, dims: tensor[1]!.split('x').slice(0, -1).map(Number) };
}

/** Lines with the blocks of `scf.for` and `scf.if` inside them. */
function parse(lines: string[]): Line[] {
  const parsed: Line[] = [];
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    if (line === '}' || line === '} else {') {
      lines.unshift(line);
      break;
    }
    const [, left, text] = /^(?:(%[\w:, %]+) = )?(.*)$/.exec(line)!;
    const [name, count] = (left ?? '').split(':');
    const results =
      count === undefined
        ? left
          ? [name!]
          : []
        : Array.from({ length: Number(count) }, (_, i) => `${name}#${i}`);
    if (!text!.endsWith('{')) {
      parsed.push({ results, text: text! });
      continue;
    }
    const body = parse(lines);
    const end = lines.shift();
    const otherwise = end === '} else {' ? parse(lines) : undefined;
    if (otherwise) lines.shift();
    parsed.push({ results, text: text!, body, ...(otherwise && { otherwise }) });
  }
  return parsed;
}

const UNARY: Record<string, (x: number) => number> = {
  'math.absf': Math.abs,
  'math.exp': Math.exp,
  'math.log': Math.log,
  'math.rsqrt': (x) => 1 / Math.sqrt(x),
  'math.sqrt': Math.sqrt,
  'arith.negf': (x) => -x,
  'arith.sitofp': (x) => x,
};

const BINARY: Record<string, (a: number, b: number) => number> = {
  'arith.addf': (a, b) => a + b,
  'arith.subf': (a, b) => a - b,
  'arith.mulf': (a, b) => a * b,
  'arith.divf': (a, b) => a / b,
  // As the hardware: NaN where either is.
  'arith.maximumf': Math.max,
  'arith.minimumf': Math.min,
  'arith.addi': (a, b) => (a + b) | 0,
  'arith.subi': (a, b) => (a - b) | 0,
  'arith.muli': Math.imul,
  'arith.divsi': (a, b) => Math.trunc(a / b),
  'arith.andi': (a, b) => a & b,
};

const COMPARE: Record<string, (a: number, b: number) => boolean> = {
  ...{ slt: (a, b) => a < b, sge: (a, b) => a >= b, eq: (a, b) => a === b },
  ...{ oeq: (a, b) => a === b, une: (a, b) => a !== b, oge: (a, b) => a >= b },
  ...{ ogt: (a, b) => a > b, ole: (a, b) => a <= b, olt: (a, b) => a < b },
};

type Floating = 'f32' | 'bf16';
const rounded = (x: number, element: string): number =>
  element === 'f32' || element === 'bf16' ? roundTo(x, element as Floating) : x;

/** A literal of MLIR: a number, or the bits of one. */
function numberOf(text: string): number {
  if (text === 'true' || text === 'false') return text === 'true' ? 1 : 0;
  return text.startsWith('0x') ? new Float32Array(Uint32Array.of(Number(text)).buffer)[0]! : Number(text);
}

class Instance {
  constructor(
    private readonly values: Map<string, Value>,
    private readonly id: number,
  ) {}

  run(lines: readonly Line[]): Value[] {
    for (const line of lines) {
      if (/^(scf\.yield|tt\.return)/.test(line.text)) return this.operands(line.text);
      const results = this.execute(line);
      line.results.forEach((name, i) => {
        this.values.set(name, results[i]!);
      });
    }
    return [];
  }

  private at(name: string): Value {
    const value = this.values.get(name);
    if (!value) throw new Error(`${name} is used before it is defined`);
    return value;
  }

  /** The values named before the types. */
  private operands(text: string): Value[] {
    return [...text.split(' : ')[0]!.matchAll(/%[\w#]+/g)].map(([name]) => this.at(name));
  }

  private execute({ text, body, otherwise }: Line): Value[] {
    const operation = /^"?([\w.]+)"?/.exec(text)![1]!;
    if (operation === 'scf.for') return this.loop(text, body!);
    const args = this.operands(text);
    const [a, b, c] = args as [Value, Value, Value];
    const made = (type: string, fill: (i: number) => number, buffer?: Buffer): Value[] => {
      const { element, dims } = typeOf(type);
      const data = filled(sizeOf(dims), (i) => rounded(fill(i), element));
      return [{ element, dims, data, ...(buffer && { buffer }) }];
    };
    const last = text.slice(text.lastIndexOf(' : ') + 3);
    const target = last.split(/ (?:->|to) /).at(-1)!;
    const own = a && { element: a.element, dims: a.dims };
    const same = (fill: (i: number) => number): Value[] => [
      { ...own!, data: filled(a.data.length, (i) => rounded(fill(i), a.element)) },
    ];
    switch (operation) {
      case 'scf.if':
        return a.data[0] ? this.run(body!) : this.run(otherwise!);
      case 'tt.get_program_id':
        return made('i32', () => this.id);
      case 'tt.make_range':
        return made(last, (i) => i);
      case 'arith.constant': {
        const literal = /^arith\.constant (?:dense<(.*?)>|(\S+)) :/.exec(text)!;
        const number = numberOf(literal[1] ?? literal[2]!);
        return made(last, () => number);
      }
      case 'tt.splat':
        return made(target, () => a.data[0]!, a.buffer);
      case 'tt.expand_dims':
        return made(target, (i) => a.data[i]!);
      case 'tt.broadcast': {
        const [rows, columns] = typeOf(target).dims as [number, number];
        if (a.dims.some((n, axis) => n !== 1 && n !== [rows, columns][axis])) throw new Error(text);
        return made(
          target,
          (i) =>
            a.data[
              (a.dims[0] === 1 ? 0 : Math.floor(i / columns)) * a.dims[1]! +
                (a.dims[1] === 1 ? 0 : i % columns)
            ]!,
        );
      }
      case 'tt.addptr':
        return [{ ...a, data: a.data.map((from, i) => from + b.data[i]!) }];
      case 'tt.load':
        return made(`tensor<${a.dims.map((n) => `${n}x`).join('')}${/ptr<(\w+)>/.exec(last)![1]}>`, (i) =>
          b && !b.data[i] ? c.data[i]! : this.loaded(a, i),
        );
      case 'tt.store':
        this.store(a, b.data, c?.data);
        return [];
      case 'tt.reduce':
        return this.reduce(text, a, target);
      case 'arith.cmpi':
      case 'arith.cmpf': {
        const test = COMPARE[/cmp[if] (\w+)/.exec(text)![1]!]!;
        return [{ element: 'i1', dims: a.dims, data: a.data.map((x, i) => (test(x, b.data[i]!) ? 1 : 0)) }];
      }
      case 'arith.select':
        return [{ ...b, data: b.data.map((x, i) => (a.data[a.dims.length ? i : 0] ? x : c.data[i]!)) }];
      case 'arith.truncf':
      case 'arith.extf':
      case 'arith.uitofp':
      case 'arith.sitofp':
        return made(target, (i) => a.data[i]!);
    }
    const unary = UNARY[operation];
    if (unary) return same((i) => unary(a.data[i]!));
    const binary = BINARY[operation];
    if (!binary) throw new Error(`the interpreter does not know ${operation}`);
    if (a.data.length !== b.data.length) throw new Error(`operands of unlike shapes: ${text}`);
    return same((i) => binary(a.data[i]!, b.data[i]!));
  }

  private loaded({ buffer, data }: Value, i: number): number {
    const at = data[i]!;
    if (!(at >= 0 && at < buffer!.memory.length)) {
      throw new Error(`element ${at} of ${buffer!.name}, which has ${buffer!.memory.length}`);
    }
    return buffer!.memory[at]!;
  }

  private store(to: Value, values: Float64Array, mask: Float64Array | undefined): void {
    const { name, memory, stores } = to.buffer!;
    if (!stores) throw new Error(`${name} is an operand: nothing is stored there`);
    for (const [i, at] of to.data.entries()) {
      if (mask && !mask[i]) continue;
      this.loaded(to, i);
      if (stores[at]!++ > 0) throw new Error(`element ${at} of ${name} is stored twice`);
      memory[at] = values[i]!;
    }
  }

  private reduce(text: string, x: Value, target: string): Value[] {
    const combine = BINARY[/= (arith\.\w+) %a, %b/.exec(text)![1]!]!;
    const axis = Number(/axis = (\d)/.exec(text)![1]);
    const inner = sizeOf(x.dims.slice(axis + 1));
    const length = x.dims[axis]!;
    const { element, dims } = typeOf(target);
    const part = new Float64Array(length);
    const data = filled(sizeOf(dims), (i) => {
      const start = Math.floor(i / inner) * inner * length + (i % inner);
      for (let k = 0; k < length; k++) part[k] = x.data[start + k * inner]!;
      // In halves, as threads do.
      for (let half = length >> 1; half > 0; half >>= 1) {
        for (let k = 0; k < half; k++) part[k] = rounded(combine(part[k]!, part[half + k]!), element);
      }
      return part[0]!;
    });
    return [{ element, dims, data }];
  }

  private loop(text: string, body: readonly Line[]): Value[] {
    const [, index, from, to, step] = /^scf\.for (%\w+) = (%\w+) to (%\w+) step (%\w+)/.exec(text)!;
    const number = (name: string) => this.at(name).data[0]!;
    const carries = [...text.matchAll(/(%\w+) = (%\w+)[,)]/g)].map(
      ([, name, start]) => [name!, start!] as const,
    );
    let carried = carries.map(([, start]) => this.at(start));
    for (let i = number(from!); i < number(to!); i += number(step!)) {
      this.values.set(index!, { element: 'i32', dims: [], data: Float64Array.of(i) });
      carries.forEach(([name], k) => {
        this.values.set(name, carried[k]!);
      });
      const next = this.run(body);
      carried = next.length ? next : carried;
    }
    return carried;
  }
}

/**
 * Runs every instance of a kernel.
 * @param instances how many programs run (`grid_x`)
 * @param operands memory of each operand, row-major; as many more as the kernel takes are its results
 * @param resultSizes elements of each result
 */
export function interpretKernel(
  ir: string,
  instances: number,
  operands: readonly Memory[],
  resultSizes: readonly number[],
): Memory[] {
  const lines = ir
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const signature = lines.find((line) => line.startsWith('tt.func'))!;
  const parameters = [...signature.matchAll(/(%\w+): !tt\.ptr<(\w+)>/g)].map(([, name, element]) => ({
    name: name!,
    element: element!,
  }));
  if (parameters.length !== operands.length + resultSizes.length)
    throw new Error('another number of pointers');
  const results = resultSizes.map((size) => ({
    memory: new Float64Array(size).fill(Number.NaN),
    stores: new Uint8Array(size),
  }));
  const body = parse(lines.slice(lines.indexOf(signature) + 1, -2));
  const buffers = [...operands.map((memory) => ({ memory })), ...results];
  for (let id = 0; id < instances; id++) {
    const values = new Map<string, Value>(
      parameters.map(({ name, element }, i) => {
        const pointer: Value = {
          ...{ element: `!tt.ptr<${element}>`, dims: [], data: Float64Array.of(0) },
          buffer: { name, ...buffers[i]! },
        };
        return [name, pointer];
      }),
    );
    new Instance(values, id).run(body);
  }
  results.forEach(({ stores }, i) => {
    const missing = stores.indexOf(0);
    if (missing >= 0) throw new Error(`element ${missing} of result ${i} was never stored`);
  });
  return results.map(({ memory }) => memory);
}
