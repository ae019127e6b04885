import {
  type NamedTensorInfoMap,
  registerKernel,
  type TensorInfo,
  engine as tfjs,
} from '@tensorflow/tfjs-core';
import { engineError, SparselawError } from '../../../errors.js';
import { BACKEND, type XlaBackend } from '../backend.js';
import type { Node } from '../graph.js';
import { describeType, elementOf, type TensorType } from '../types.js';
import { BINARY_KERNELS } from './binary.js';
import { ATTENTION_KERNELS } from './cudnn-attention.js';
import { INDEXING_KERNELS } from './indexing.js';
import type { Kernel, KernelTable } from './kernel.js';
import { MATMUL_KERNELS } from './matmul.js';
import { RANDOM_KERNELS } from './random.js';
import { REDUCE_KERNELS } from './reduce.js';
import { SHAPE_KERNELS } from './shape.js';
import { UNARY_KERNELS } from './unary.js';

/** Every tfjs kernel that programs may use. */
export const KERNELS: KernelTable = {
  ...UNARY_KERNELS,
  ...BINARY_KERNELS,
  ...MATMUL_KERNELS,
  ...REDUCE_KERNELS,
  ...SHAPE_KERNELS,
  ...INDEXING_KERNELS,
  ...RANDOM_KERNELS,
  ...ATTENTION_KERNELS,
};

/** Registers all kernels for the backend. */
export function registerKernels(): void {
  for (const [kernelName, kernel] of Object.entries(KERNELS)) {
    registerKernel({
      kernelName,
      backendName: BACKEND,
      kernelFunc: ({ inputs, attrs, backend }) =>
        record(kernelName, kernel, inputs, (attrs ?? {}) as Record<string, unknown>, backend as XlaBackend),
    });
  }
}

/** The tfjs op that is running, e.g. `matMul`; the kernel's name where there is none. */
function currentOp(kernelName: string): string {
  const scope = tfjs().state.activeScope?.name ?? '';
  return scope.endsWith('__op') ? `tf.${scope.slice(0, -'__op'.length)}` : kernelName;
}

function describe(x: TensorInfo): string {
  const element = elementOf(x.dtype);
  return element ? describeType({ element, shape: x.shape } as TensorType) : `${x.dtype}[${x.shape}]`;
}

function record(
  kernelName: string,
  kernel: Kernel,
  inputs: NamedTensorInfoMap,
  attributes: Record<string, unknown>,
  backend: XlaBackend,
): TensorInfo | TensorInfo[] {
  const present = Object.entries(inputs).filter((entry): entry is [string, TensorInfo] => entry[1] != null);
  // A second handle on a value is no computation.
  if (kernelName === 'Identity') return backend.share(present[0]![1]);
  const operands = () => present.map(([, x]) => describe(x)).join(' and ') || 'no operands';
  const graph = backend.graph;
  if (!graph) {
    throw engineError(`${currentOp(kernelName)} of ${operands()} was called outside a compiled function.`, {
      code: 'eager-op',
      suggestions: [
        'The engine xla computes nothing op by op: put the computation into a function for `engine.compile`.',
      ],
    });
  }
  const nodes: Record<string, Node> = {};
  for (const [name, x] of present) nodes[name] = backend.nodeOf(x);
  try {
    const out = kernel({ graph, inputs: nodes, attributes });
    return Array.isArray(out) ? out.map((node) => backend.holdNode(node)) : backend.holdNode(out);
  } catch (error) {
    if (error instanceof SparselawError || !(error instanceof Error)) throw error;
    throw engineError(`${currentOp(kernelName)} of ${operands()}: ${error.message}.`, {
      code: 'bad-operands',
      cause: error,
    });
  }
}
