import type { Node } from '../../../src/engine/xla/graph.js';
import { compare, reduce, select, splatLike, unary } from '../../../src/engine/xla/ops.js';
import { allNodes } from '../../../src/engine/xla/precision.js';
import { sizeOf } from '../../../src/engine/xla/types.js';

/**
 * Where a float32 sum has no value of its own. With terms of 3e38 and −3e38 among its own, it overflows in one order of
 * adding and not in another, to either infinity or to NaN on the way; and a product that is added without being
 * rounded first (a fused multiply-add, which compilers form as they like) may be brought back below the largest number
 * where the rounded one is infinite. Two right programs differ there, and nowhere else: where the magnitudes of
 * all terms add up to less than the largest number, no order overflows, and infinite or undefined terms decide alone.
 */

const LARGEST = (2 - 2 ** -23) * 2 ** 127;
/** Magnitudes are summed in float32 too. */
const EDGE = LARGEST * (1 - 2 ** -10);

const isSum = ({ operation }: Node) => operation.op === 'reduce' && operation.combiner === 'add';
const sumsUnder = (result: Node): Node[] => allNodes([result]).filter(isSum);

const finite = (x: Node) => compare('LT', unary('abs', x), splatLike(x, Number.POSITIVE_INFINITY));

/** Σ |term| in place of Σ term. Terms that are infinite because their factors are count nothing: they are so everywhere. */
function magnitude({ operation, inputs: [terms] }: Node): Node {
  const { axes } = operation as Extract<Node['operation'], { op: 'reduce' }>;
  const factors = terms!.operation.op === 'multiply' ? terms!.inputs : [terms!];
  const zero = splatLike(terms!, 0);
  const counted = factors.reduce((kept, factor) => select(finite(factor), kept, zero), unary('abs', terms!));
  return reduce('add', counted, axes);
}

/** The magnitudes of all sums that results are made from, in an order that `atTheEdge` knows. */
export const magnitudesOf = (results: readonly Node[]): Node[] => results.flatMap(sumsUnder).map(magnitude);

/** Which elements of which result hang on a sum that may overflow, by what `magnitudesOf` gave. */
export function atTheEdge(
  results: readonly Node[],
  magnitudes: readonly ArrayLike<number>[],
): (result: number, element: number) => boolean {
  let next = 0;
  const sums = results.map((result) => sumsUnder(result).map(() => magnitudes[next++]!));
  return (index, element) => {
    const { shape } = results[index]!.type;
    return sums[index]!.some((all) => {
      // A sum of the element's own, or one of its row.
      const at = all.length === sizeOf(shape) ? element : Math.floor((element * shape[0]!) / sizeOf(shape));
      return (all.length === sizeOf(shape) || all.length === shape[0]) && !(all[at]! < EDGE);
    });
  };
}
