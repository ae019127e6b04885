import type { Graph, Node } from '../graph.js';

/** One call of a tfjs kernel: its operands by name (or by position where tfjs passes a list) and its attributes. */
export interface KernelCall {
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, Node>>;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Records what a tfjs kernel computes. Shapes were checked by the tfjs op, and are again when recorded. */
export type Kernel = (call: KernelCall) => Node | Node[];

export type KernelTable = Readonly<Record<string, Kernel>>;

/** The operands of a kernel that takes a list. */
export const listOf = ({ inputs }: KernelCall): Node[] => Object.values(inputs);

/** An attribute of a kernel; tfjs's declarations give its type. */
export const attribute = <T>({ attributes }: KernelCall, name: string): T => attributes[name] as T;

/** Kernels of one operand called `name`. */
export function kernelsOf(table: Readonly<Record<string, (x: Node) => Node>>, name = 'x'): KernelTable {
  return Object.fromEntries(
    Object.entries(table).map(([kernel, record]) => [
      kernel,
      ({ inputs }: KernelCall) => record(inputs[name]!),
    ]),
  );
}
