import {
  type DataType,
  getKernel,
  getKernelsForBackend,
  type KernelBackend,
  type KernelFunc,
  type NamedTensorInfoMap,
  registerKernel,
  type TensorInfo,
  unregisterKernel,
} from '@tensorflow/tfjs-core';
import { engineError, SparselawError } from '../../errors.js';
import { BACKEND, type XlaBackend } from './backend.js';
import { splat } from './ops.js';
import { describeType, elementOf, sizeOf } from './types.js';

/** Stand-ins compute on one thread in plain JavaScript; with larger operands nobody would wait for them. */
const MAX_ELEMENTS = 2 ** 18;

const CODE = 'unsupported-kernel';

const UNREGISTERED = /Kernel '(\w+)' not registered|Cannot find registered kernel '(\w+)'/;

/** The kernel that tfjs's error says its backend lacks; undefined for any other error. */
export function missingKernel({ message }: Error): string | undefined {
  const match = UNREGISTERED.exec(message);
  return match?.[1] ?? match?.[2];
}

/**
 * The error that names kernels a program uses and the engine lacks.
 * @param ended why there may be more of them than are named
 */
export function unsupportedKernels(
  program: string,
  kernels: readonly string[],
  { cause, ended }: { cause: unknown; ended?: string },
): SparselawError {
  const names = new Intl.ListFormat('en').format(kernels);
  return engineError(
    `${program} uses the tfjs kernel${kernels.length > 1 ? 's' : ''} ${names}, which the engine xla does not have.`,
    {
      code: CODE,
      suggestions: [
        'Write it with other tfjs ops, or run on --engine wasm.',
        ...(ended === undefined ? [] : [`There may be more: the search for them ended at "${ended}"`]),
      ],
      cause,
    },
  );
}

/**
 * Records a program. Where it uses a kernel that the engine lacks, it is recorded once more, with a stand-in for each
 * kernel that tfjs's `cpu` has and the engine has not, so that one error names all of them, in the order of their use.
 * @throws SparselawError (status 4), as `record` does
 */
export async function namingUnsupported<T>(
  program: string,
  backend: XlaBackend,
  record: () => T,
): Promise<T> {
  try {
    return record();
  } catch (error) {
    if (!(error instanceof SparselawError) || error.code !== CODE) throw error;
    const { cpuBackend } = await import('../cpu-backend.js');
    const { kernels, failure } = withStandIns(backend, cpuBackend(), record);
    const last = failure && missingKernel(failure.cause instanceof Error ? failure.cause : failure);
    throw unsupportedKernels(program, last ? [...kernels, last] : kernels, {
      cause: error.cause,
      ...(failure && { ended: failure.message }),
    });
  }
}

/** The kernels that a recording finds a stand-in for, and what it fails of all the same. */
function withStandIns(
  backend: XlaBackend,
  reference: KernelBackend,
  record: () => void,
): { kernels: string[]; failure?: Error } {
  const used = new Set<string>();
  const lacking = getKernelsForBackend('cpu').filter(({ kernelName }) => !getKernel(kernelName, BACKEND));
  for (const { kernelName, kernelFunc } of lacking) {
    registerKernel({
      kernelName,
      backendName: BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        used.add(kernelName);
        const operands = zerosLike(reference, inputs);
        let out: TensorInfo | TensorInfo[] = [];
        try {
          out = kernelFunc({ inputs: operands, attrs, backend: reference } as Parameters<KernelFunc>[0]);
        } finally {
          for (const x of [...Object.values(operands), out].flat()) reference.disposeData(x!.dataId);
        }
        const recorded = ({ dtype, shape }: TensorInfo) =>
          backend.holdNode(splat(backend.graph!, 0, { element: checkedElement(dtype), shape }));
        return Array.isArray(out) ? out.map(recorded) : recorded(out);
      },
    });
  }
  try {
    record();
    return { kernels: [...used] };
  } catch (failure) {
    return { kernels: [...used], failure: failure as Error };
  } finally {
    for (const { kernelName } of lacking) unregisterKernel(kernelName, BACKEND);
  }
}

/** Zeros, on tfjs's `cpu`, of the operands' shapes: its kernels tell the shapes of results by computing them. */
function zerosLike(reference: KernelBackend, inputs: NamedTensorInfoMap): NamedTensorInfoMap {
  const present = Object.entries(inputs).filter((entry): entry is [string, TensorInfo] => entry[1] != null);
  for (const [, { dtype, shape }] of present) {
    const type = { element: checkedElement(dtype), shape };
    if (sizeOf(shape) > MAX_ELEMENTS) throw new Error(`${describeType(type)} is too large to search with.`);
  }
  const zeros = ({ dtype, shape }: TensorInfo): TensorInfo => {
    const values = new ARRAYS[checkedElement(dtype)](sizeOf(shape));
    return { dataId: reference.write(values, shape, dtype), dtype, shape };
  };
  return Array.isArray(inputs)
    ? (inputs.map(zeros) as unknown as NamedTensorInfoMap)
    : Object.fromEntries(present.map(([name, x]) => [name, zeros(x)]));
}

const ARRAYS = { f32: Float32Array, i32: Int32Array, i1: Uint8Array };

function checkedElement(dtype: DataType): keyof typeof ARRAYS {
  const element = elementOf(dtype);
  if (!element) throw new Error(`The engine xla has no tensors of dtype ${dtype}.`);
  return element as keyof typeof ARRAYS;
}
