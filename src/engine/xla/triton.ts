import type { Node } from './graph.js';
import { splatLiteral } from './literals.js';
import type { Direction, OperationName } from './operations.js';

/**
 * A builder that prints kernels in Triton's IR, which XLA's CUDA plugin compiles when it finds the text in a custom
 * call. Values are float32 blocks of a few rows (`full`), of one number a row (`row`) or of one a column (`column`).
 */
export type Space = 'full' | 'row' | 'column';

/** Operations with one instruction on float32. */
const INSTRUCTIONS: Partial<Record<OperationName, string>> = {
  abs: 'math.absf',
  add: 'arith.addf',
  divide: 'arith.divf',
  exponential: 'math.exp',
  log: 'math.log',
  maximum: 'arith.maximumf',
  minimum: 'arith.minimumf',
  multiply: 'arith.mulf',
  negate: 'arith.negf',
  rsqrt: 'math.rsqrt',
  sqrt: 'math.sqrt',
  subtract: 'arith.subf',
};

const PREDICATES: Record<Direction, string> = {
  EQ: 'oeq',
  NE: 'une',
  GE: 'oge',
  GT: 'ogt',
  LE: 'ole',
  LT: 'olt',
};

/** Comparisons of whole numbers. */
const WHOLE_PREDICATES: Record<Direction, string> = {
  EQ: 'eq',
  NE: 'ne',
  GE: 'sge',
  GT: 'sgt',
  LE: 'sle',
  LT: 'slt',
};

/** Whether an operation on float32 values (or a comparison, or what comes of one) can be part of a kernel. */
export function isPointwise({ operation, inputs, type }: Node): boolean {
  const from = inputs[0]?.type.element;
  if (operation.op === 'compare') return from === 'f32' || from === 'i32';
  if (operation.op === 'convert') return from === 'i1' && type.element === 'f32';
  if (operation.op === 'select' || operation.op === 'logistic') return type.element === 'f32';
  return type.element === 'f32' && operation.op in INSTRUCTIONS;
}

/** Elements as they lie in memory; in a kernel, floating-point ones are float32. */
export type Stored = 'bf16' | 'f32' | 'i32';

export type RowCombiner = 'add' | 'maximum';

/** The value that changes nothing, and the instruction. */
const COMBINERS: Record<RowCombiner, readonly [neutral: number, instruction: string]> = {
  add: [0, 'arith.addf'],
  maximum: [Number.NEGATIVE_INFINITY, 'arith.maximumf'],
};

export interface KernelBuilder {
  readonly rows: number;
  /** Lanes of a row: the width, rounded up to a power of two. */
  readonly lanes: number;
  constant(value: number, space: Space): string;
  pointwise(node: Node, operands: readonly string[], space: Space): string;
  /** Repeats a value a row (or a column) along the other axis. */
  spread(value: string, from: 'row' | 'column', element?: 'f32' | 'i32'): string;
  /** The column that each element is in, int32. */
  readonly columns: string;
  /** float32 → bfloat16 → float32. */
  rounded(value: string): string;
  /**
   * Sums along the width (`row`) or over the rows (`column`), or the largest of them; lanes and rows past the end
   * count nothing.
   */
  reduce(combiner: RowCombiner, value: string, into: 'row' | 'column'): string;
  /** @param from the first column, where rows in memory are wider than the kernel's */
  load(pointer: string, space: Space, stored: Stored, from?: number): string;
  store(pointer: string, value: string, space: Space, stored: Stored, from?: number): void;
}

interface Shape {
  /** Of the whole value. */
  readonly count: number;
  readonly width: number;
  /** Rows that are worked on at once. */
  readonly rows: number;
  /** Rows of one program instance; a multiple of `rows`. */
  readonly rowsOfInstance: number;
  /** Rounds whose operands are on their way at once. */
  readonly stages: number;
  /** Columns of an instance, a power of two; by default all of them. Sums along and over rows need all. */
  readonly tile?: number;
}

interface Pointer {
  readonly name: string;
  readonly stored: Stored;
  /** Elements from a row to the next, where they are not the width. */
  readonly stride?: number;
}

/**
 * Prints a kernel that walks over its rows.
 * @param pointers operands first, then results
 * @param before values that all rows share, by name
 * @param body works on some rows; returns what is to be added to each sum over the rows, in the order of `sums`
 * @param sums pointers that get the instance's sums over its rows: [instances, width] float32
 */
export function printKernel(
  name: string,
  shape: Shape,
  pointers: readonly Pointer[],
  before: (build: KernelBuilder) => void,
  body: (build: KernelBuilder) => string[],
  sums: readonly string[],
): string {
  const { count, width, rows, rowsOfInstance, stages } = shape;
  const lanes = shape.tile ?? 2 ** Math.ceil(Math.log2(width));
  const tiles = Math.ceil(width / lanes);
  const strides = new Map(pointers.map((pointer) => [pointer.name, pointer.stride ?? width]));
  const lines: string[] = [];
  let next = 0;
  let indent = '    ';
  const line = (text: string) => {
    lines.push(indent + text);
  };
  const value = (expression: string): string => {
    const result = `%v${next++}`;
    line(`${result} = ${expression}`);
    return result;
  };
  const DIMS: Record<Space, string> = { full: `${rows}x${lanes}`, row: `${rows}`, column: `${lanes}` };
  const tensor = (space: Space, element: string) => `tensor<${DIMS[space]}x${element}>`;
  const floats = (space: Space) => tensor(space, 'f32');

  const wide = lanes * tiles !== width;
  const ragged = count % rowsOfInstance !== 0;
  const indices = (space: 'row' | 'column', length: number) =>
    value(`tt.make_range {end = ${length} : i32, start = 0 : i32} : ${tensor(space, 'i32')}`);
  const splatIndex = (number: number, space: Space) =>
    value(`arith.constant dense<${number}> : ${tensor(space, 'i32')}`);
  const spread = (x: string, from: 'row' | 'column', element: string): string => {
    const axis = from === 'row' ? 1 : 0;
    const thin = from === 'row' ? `tensor<${rows}x1x${element}>` : `tensor<1x${lanes}x${element}>`;
    const expanded = value(
      `tt.expand_dims ${x} {axis = ${axis} : i32} : ${tensor(from, element)} -> ${thin}`,
    );
    return value(`tt.broadcast ${expanded} : ${thin} -> ${tensor('full', element)}`);
  };

  // What each space's elements are numbered and masked by; those of rows change with every round of the loop.
  const offsets: Partial<Record<'row' | 'column', string>> = {};
  const masks: Partial<Record<Space, string>> = {};
  /** Of elements in rows of a length in memory. */
  const byStride = new Map<number, string>();

  const program = value('tt.get_program_id x : i32');
  let instance = program;
  let columns = indices('column', lanes);
  if (tiles > 1) {
    const across = value(`arith.constant ${tiles} : i32`);
    instance = value(`arith.divsi ${program}, ${across} : i32`);
    const whole = value(`arith.muli ${instance}, ${across} : i32`);
    const tile = value(`arith.subi ${program}, ${whole} : i32`);
    const firstColumn = value(`arith.muli ${tile}, ${value(`arith.constant ${lanes} : i32`)} : i32`);
    const starts = value(`tt.splat ${firstColumn} : i32 -> ${tensor('column', 'i32')}`);
    columns = value(`arith.addi ${starts}, ${columns} : ${tensor('column', 'i32')}`);
  }
  const columnsOfAll = spread(columns, 'column', 'i32');

  const build: KernelBuilder = {
    rows,
    lanes,
    columns: columnsOfAll,
    constant: (number, space) => {
      const literal = splatLiteral(number, { element: 'f32', shape: [rows] });
      return value(`arith.constant ${literal.text} : ${floats(space)}`);
    },
    pointwise({ operation, inputs }, operands, space) {
      const [a, b, c] = operands as [string, string, string];
      switch (operation.op) {
        case 'compare':
          return inputs[0]!.type.element === 'i32'
            ? value(
                `arith.cmpi ${WHOLE_PREDICATES[operation.direction]}, ${a}, ${b} : ${tensor(space, 'i32')}`,
              )
            : value(`arith.cmpf ${PREDICATES[operation.direction]}, ${a}, ${b} : ${floats(space)}`);
        case 'convert':
          return value(`arith.uitofp ${a} : ${tensor(space, 'i1')} to ${floats(space)}`);
        case 'select':
          return value(`arith.select ${a}, ${b}, ${c} : ${tensor(space, 'i1')}, ${floats(space)}`);
        case 'logistic': {
          const one = build.constant(1, space);
          const negated = value(`arith.negf ${a} : ${floats(space)}`);
          const decay = value(`math.exp ${negated} : ${floats(space)}`);
          const sum = value(`arith.addf ${one}, ${decay} : ${floats(space)}`);
          return value(`arith.divf ${one}, ${sum} : ${floats(space)}`);
        }
        default:
          return value(`${INSTRUCTIONS[operation.op]} ${operands.join(', ')} : ${floats(space)}`);
      }
    },
    spread: (x, from, element = 'f32') => spread(x, from, element),
    rounded(x) {
      const narrow = value(`arith.truncf ${x} : ${floats('full')} to ${tensor('full', 'bf16')}`);
      return value(`arith.extf ${narrow} : ${tensor('full', 'bf16')} to ${floats('full')}`);
    },
    reduce(combiner, x, into) {
      const [neutral, instruction] = COMBINERS[combiner];
      const others = masks.full && build.constant(neutral, 'full');
      const counted = masks.full
        ? value(`arith.select ${masks.full}, ${x}, ${others} : ${tensor('full', 'i1')}, ${floats('full')}`)
        : x;
      const axis = into === 'row' ? 1 : 0;
      return value(
        `"tt.reduce"(${counted}) <{axis = ${axis} : i32}> ({ ^bb0(%a: f32, %b: f32): %s = ${instruction} %a, %b : f32 tt.reduce.return %s : f32 }) : (${floats('full')}) -> ${floats(into)}`,
      );
    },
    load(pointer, space, stored, from) {
      const address = addresses(pointer, space, stored, from);
      const mask = masks[space];
      const nothing = stored === 'i32' ? '0' : '0.0';
      const other = mask && value(`arith.constant dense<${nothing}> : ${tensor(space, stored)}`);
      const type = tensor(space, `!tt.ptr<${stored}>`);
      const loaded = value(`tt.load ${address}${mask ? `, ${mask}, ${other}` : ''} : ${type}`);
      return stored !== 'bf16'
        ? loaded
        : value(`arith.extf ${loaded} : ${tensor(space, stored)} to ${floats(space)}`);
    },
    store(pointer, x, space, stored, from) {
      const kept =
        stored !== 'bf16' ? x : value(`arith.truncf ${x} : ${floats(space)} to ${tensor(space, stored)}`);
      const mask = masks[space];
      const address = addresses(pointer, space, stored, from);
      line(`tt.store ${address}, ${kept}${mask ? `, ${mask}` : ''} : ${tensor(space, `!tt.ptr<${stored}>`)}`);
    },
  };
  function addresses(pointer: string, space: Space, stored: Stored, from = 0): string {
    const type = tensor(space, `!tt.ptr<${stored}>`);
    const start =
      from === 0
        ? pointer
        : value(`tt.addptr ${pointer}, ${value(`arith.constant ${from} : i32`)} : !tt.ptr<${stored}>, i32`);
    const base = value(`tt.splat ${start} : !tt.ptr<${stored}> -> ${type}`);
    const places = space === 'full' ? offsetsBy(strides.get(pointer)!) : offsets[space];
    return value(`tt.addptr ${base}, ${places} : ${type}, ${tensor(space, 'i32')}`);
  }
  function offsetsBy(stride: number): string {
    const known = byStride.get(stride);
    if (known) return known;
    const scaled = value(`arith.muli ${offsets.row}, ${splatIndex(stride, 'row')} : ${tensor('row', 'i32')}`);
    const places = value(
      `arith.addi ${spread(scaled, 'row', 'i32')}, ${columnsOfAll} : ${tensor('full', 'i32')}`,
    );
    byStride.set(stride, places);
    return places;
  }

  offsets.column = columns;
  if (wide) {
    masks.column = value(
      `arith.cmpi slt, ${columns}, ${splatIndex(width, 'column')} : ${tensor('column', 'i32')}`,
    );
  }
  const columnMask = masks.column && spread(masks.column, 'column', 'i1');
  const rowRange = indices('row', rows);
  const first = value(`arith.muli ${instance}, ${value(`arith.constant ${rowsOfInstance} : i32`)} : i32`);
  before(build);

  const round = (start: string): string[] => {
    const starts = value(`tt.splat ${start} : i32 -> ${tensor('row', 'i32')}`);
    const numbers = value(`arith.addi ${starts}, ${rowRange} : ${tensor('row', 'i32')}`);
    offsets.row = numbers;
    byStride.clear();
    masks.full = columnMask;
    if (ragged) {
      masks.row = value(`arith.cmpi slt, ${numbers}, ${splatIndex(count, 'row')} : ${tensor('row', 'i32')}`);
      const all = spread(masks.row, 'row', 'i1');
      masks.full = columnMask ? value(`arith.andi ${all}, ${columnMask} : ${tensor('full', 'i1')}`) : all;
    }
    return body(build);
  };

  const rounds = rowsOfInstance / rows;
  const type = floats('column');
  let totals: string[];
  if (rounds === 1) {
    totals = round(first);
  } else {
    const [zero, one, end] = [0, 1, rounds].map((n) => value(`arith.constant ${n} : i32`));
    const step = value(`arith.constant ${rows} : i32`);
    const starts = sums.map(() => build.constant(0, 'column'));
    const carried = sums.map((_, i) => `%sum${i}`);
    const types = sums.map(() => type).join(', ');
    const results = sums.length > 0 ? `%total${sums.length > 1 ? `:${sums.length}` : ''} = ` : '';
    const carries =
      sums.length > 0
        ? ` iter_args(${carried.map((name_, i) => `${name_} = ${starts[i]}`).join(', ')}) -> (${types})`
        : '';
    line(`${results}scf.for %round = ${zero} to ${end} step ${one}${carries}  : i32 {`);
    indent = '      ';
    const start = value(`arith.addi ${first}, ${value(`arith.muli %round, ${step} : i32`)} : i32`);
    const parts = round(start);
    const after = parts.map((part, i) => value(`arith.addf ${carried[i]}, ${part} : ${type}`));
    if (sums.length > 0) line(`scf.yield ${after.join(', ')} : ${types}`);
    indent = '    ';
    line(stages > 1 ? `} {tt.num_stages = ${stages} : i32}` : '}');
    totals = sums.map((_, i) => (sums.length > 1 ? `%total#${i}` : '%total'));
  }
  sums.forEach((pointer, i) => {
    const base = value(`arith.muli ${instance}, ${value(`arith.constant ${width} : i32`)} : i32`);
    const starts = value(`tt.splat ${base} : i32 -> ${tensor('column', 'i32')}`);
    offsets.column = value(`arith.addi ${starts}, ${columns} : ${tensor('column', 'i32')}`);
    build.store(pointer, totals[i]!, 'column', 'f32');
  });

  const parameters = pointers.map(
    ({ name: pointer, stored }) => `${pointer}: !tt.ptr<${stored}> {tt.divisibility = 16 : i32}`,
  );
  return [
    'module {',
    `  tt.func public @${name}(${parameters.join(', ')}) {`,
    ...lines,
    '    tt.return',
    '  }',
    '}',
  ].join('\n');
}
