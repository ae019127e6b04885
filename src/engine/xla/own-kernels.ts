import type { KernelChoice } from './kernel-choice.js';
import { joinProducts } from './product-pairs.js';
import { joinSums } from './product-sums.js';
import type { GraphProgram } from './rebuild.js';
import { fuseRows } from './row-kernels.js';
import { fuseTensors } from './tensor-kernels.js';

/** A program in bfloat16 with the kernels of our own that are chosen for it: joined products first, as others read them. */
export const withOwnKernels = (program: GraphProgram, choose: KernelChoice): GraphProgram =>
  fuseTensors(fuseRows(joinSums(joinProducts(program, choose), choose), choose), choose);
