import type { Literal } from './literals.js';
import type { ElementType, TensorType } from './types.js';

/**
 * Element by element; the result has the operand's type (`is_finite`: truth values). `optimization_barrier` changes
 * nothing: the compiler fuses nothing across it.
 */
export const UNARY = [
  'abs',
  'ceil',
  'cosine',
  'exponential',
  'exponential_minus_one',
  'floor',
  'is_finite',
  'log',
  'log_plus_one',
  'logistic',
  'negate',
  'not',
  'optimization_barrier',
  'round_nearest_even',
  'rsqrt',
  'sign',
  'sine',
  'sqrt',
  'tanh',
] as const;
export type UnaryName = (typeof UNARY)[number];

/** Element by element on two operands of one type. */
export const BINARY = [
  'add',
  'and',
  'atan2',
  'divide',
  'maximum',
  'minimum',
  'multiply',
  'or',
  'power',
  'remainder',
  'shift_left',
  'shift_right_logical',
  'subtract',
  'xor',
] as const;
export type BinaryName = (typeof BINARY)[number];

export type Direction = 'EQ' | 'NE' | 'GE' | 'GT' | 'LE' | 'LT';
/** How a reduction combines two elements. */
export type Combiner = 'add' | 'maximum' | 'minimum' | 'multiply' | 'and' | 'or';

/** Which axes of the two operands of a product are batches and which are summed over. */
export interface DotAxes {
  readonly lhsBatch: readonly number[];
  readonly rhsBatch: readonly number[];
  readonly lhsContracting: readonly number[];
  readonly rhsContracting: readonly number[];
}

/** StableHLO's gather dimension numbers, without operand batching. */
export interface GatherAxes {
  readonly offset: readonly number[];
  readonly collapsed: readonly number[];
  readonly startIndexMap: readonly number[];
  readonly indexVector: number;
  readonly sliceSizes: readonly number[];
}

/** StableHLO's scatter dimension numbers, without operand batching. */
export interface ScatterAxes {
  readonly updateWindow: readonly number[];
  readonly inserted: readonly number[];
  readonly toOperand: readonly number[];
  readonly indexVector: number;
}

/** What a kernel of the runtime is called with. Layouts list each value's axes from the fastest to the slowest. */
export interface CustomCall {
  readonly target: string;
  /** 2: `config` is a text of the kernel's own; 4: it is an MLIR dictionary without its braces. */
  readonly apiVersion: 2 | 4;
  readonly config: string;
  readonly types: readonly TensorType[];
  readonly operandLayouts: readonly (readonly number[])[];
  readonly resultLayouts: readonly (readonly number[])[];
}

/**
 * The operations of a graph: a subset of StableHLO, by its names. What the operands and these fields determine
 * (the result's type) is not repeated here.
 */
export type Operation =
  | { readonly op: 'parameter'; readonly index: number; readonly name: string; readonly type: TensorType }
  /** An argument of the body of a loop that is nested `level` deep. */
  | {
      readonly op: 'loop_argument';
      readonly loop: number;
      readonly level: number;
      readonly index: number;
      readonly type: TensorType;
    }
  | { readonly op: 'constant'; readonly literal: Literal }
  | { readonly op: 'iota'; readonly type: TensorType; readonly axis: number }
  | { readonly op: UnaryName }
  | { readonly op: BinaryName }
  | { readonly op: 'compare'; readonly direction: Direction }
  | { readonly op: 'select' }
  | { readonly op: 'convert' | 'bitcast_convert'; readonly element: ElementType }
  | { readonly op: 'reshape'; readonly shape: readonly number[] }
  | {
      readonly op: 'broadcast_in_dim';
      readonly shape: readonly number[];
      /** Which axis of the result each axis of the operand becomes. */
      readonly axes: readonly number[];
    }
  | { readonly op: 'transpose'; readonly order: readonly number[] }
  | { readonly op: 'reverse'; readonly axes: readonly number[] }
  | {
      readonly op: 'slice';
      readonly start: readonly number[];
      readonly limit: readonly number[];
      readonly strides: readonly number[];
    }
  | { readonly op: 'pad'; readonly low: readonly number[]; readonly high: readonly number[] }
  | { readonly op: 'concatenate'; readonly axis: number }
  /** Operands: the value and the scalar that changes nothing. */
  | { readonly op: 'reduce'; readonly combiner: Combiner; readonly axes: readonly number[] }
  /** Running reduction along one axis; operands as for `reduce`. */
  | {
      readonly op: 'cumulate';
      readonly combiner: 'add' | 'multiply';
      readonly axis: number;
      readonly reverse: boolean;
    }
  | ({ readonly op: 'dot_general'; readonly result?: ElementType } & DotAxes)
  | ({ readonly op: 'gather' } & GatherAxes)
  | ({ readonly op: 'scatter'; readonly combiner: 'add' | 'replace' } & ScatterAxes)
  | { readonly op: 'dynamic_slice'; readonly sizes: readonly number[] }
  /** Sorts operand 0 along an axis, largest first, and reorders the other operands with it. */
  | { readonly op: 'sort_descending'; readonly axis: number }
  /** Threefry words of a u64[2] state (key, counter): results are the next state and u32[count]. */
  | { readonly op: 'rng_bit_generator'; readonly count: number }
  /**
   * Runs a body `count` times: `results` are nodes computed from `arguments` (the index, then the carried values),
   * `level` loops deep. Operands: the carried values' starts, then every outer value that the body uses.
   */
  | {
      readonly op: 'loop';
      readonly loop: number;
      readonly level: number;
      readonly count: number;
      readonly arguments: readonly Node[];
      readonly results: readonly Node[];
    }
  /** A kernel that the device's runtime brings. */
  | ({ readonly op: 'custom_call' } & CustomCall)
  /** Sums of each operand over the devices that run the program. */
  | { readonly op: 'all_reduce'; readonly devices: number }
  /** The devices' parts of each operand, one after the other along an axis. */
  | { readonly op: 'all_gather'; readonly devices: number; readonly axis: number }
  /** The number of the device, from 0, as a scalar. */
  | { readonly op: 'replica_id' }
  /** One result of an operation that has several. */
  | { readonly op: 'result'; readonly index: number };

export type OperationName = Operation['op'];

/** One value (or, for operations with several results, their bundle) of a recorded program. */
export interface Node {
  readonly graph: Graph;
  /** Position in recording order: operands come before their users. */
  readonly id: number;
  readonly operation: Operation;
  readonly inputs: readonly Node[];
  /** One per result. */
  readonly types: readonly TensorType[];
  /** The first result's type. */
  readonly type: TensorType;
  /**
   * How many loops deep the value lives: 0 outside any, −1 when it depends on constants alone (such values are
   * written again wherever they are used, so that a loop never carries them).
   */
  readonly level: number;
}

/** A recorded program: operations are only ever added, and equal ones are one node. */
export interface Graph {
  /** Adds an operation, or finds or simplifies to an existing node of the same value. */
  add(operation: Operation, ...inputs: Node[]): Node;
  /** A number for the next loop. */
  nextLoop(): number;
  readonly size: number;
}
