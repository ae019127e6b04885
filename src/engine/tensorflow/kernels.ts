import {
  getKernel,
  type KernelFunc,
  registerKernel,
  scalar,
  type TensorInfo,
  tensor1d,
  unregisterKernel,
  util,
} from '@tensorflow/tfjs-core';
import type { NodeBackend, OpAttribute } from './backend.js';

const BACKEND = 'tensorflow';

interface Call {
  inputs: Readonly<Record<string, TensorInfo>>;
  attrs: Readonly<Record<string, unknown>>;
  backend: NodeBackend & { incRef(dataId: object): void };
}

/** Undefined where the original kernel is to be called. */
type Override = (call: Call) => TensorInfo | undefined;

/**
 * Puts kernels in the place of some of tfjs-node 4.22.0's:
 * - Reshape to the same shape, Cast to the same type and Mean's own cast run an op that copies nothing new;
 * - GatherV2 reads all indices back and looks at each in JavaScript;
 * - TensorFlow sums and compares int32 on the processor, also where the numbers are on a GPU.
 */
export function registerTensorflowKernels(): void {
  override('Reshape', ({ inputs, attrs, backend }) =>
    util.arraysEqual(inputs.x!.shape, attrs.shape as number[]) ? same(inputs.x!, backend) : undefined,
  );
  override('Cast', ({ inputs, attrs, backend }) =>
    inputs.x!.dtype === attrs.dtype ? same(inputs.x!, backend) : undefined,
  );
  override('Mean', (call) => (call.inputs.x!.dtype === 'float32' ? mean(call) : undefined));
  override('Sum', (call) => (isIntegerOnGpu(call, 'x') ? integerSum(call) : undefined));
  for (const name of ['Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual']) {
    override(name, (call) =>
      isIntegerOnGpu(call, 'a') && isIntegerOnGpu(call, 'b') ? integerComparison(name, call) : undefined,
    );
  }
  override('GatherV2', gather);
}

function override(name: string, kernel: Override): void {
  const original = getKernel(name, BACKEND);
  unregisterKernel(name, BACKEND);
  registerKernel({
    ...original,
    kernelFunc: ((call: Call) => kernel(call) ?? original.kernelFunc(call as never)) as unknown as KernelFunc,
  });
}

/** The same values once more, as tfjs's Identity does it. */
function same(x: TensorInfo, backend: Call['backend']): TensorInfo {
  backend.incRef(x.dataId);
  return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
}

const type = ({ binding }: NodeBackend, name: string, value: number): OpAttribute => ({
  name,
  type: binding.TF_ATTR_TYPE,
  value,
});

/** Attributes of a reduction over elements of a TensorFlow type. */
const reduction = (backend: NodeBackend, elements: number, keepDims: unknown): OpAttribute[] => [
  { name: 'keep_dims', type: backend.binding.TF_ATTR_BOOL, value: Boolean(keepDims) },
  type(backend, 'T', elements),
  type(backend, 'Tidx', backend.binding.TF_INT32),
];

const axesOf = ({ inputs, attrs }: Call) =>
  tensor1d(util.parseAxisParam(attrs.axis as number | number[], inputs.x!.shape), 'int32');

function mean(call: Call): TensorInfo {
  const { inputs, attrs, backend } = call;
  const axes = axesOf(call);
  const attributes = reduction(backend, backend.binding.TF_FLOAT, attrs.keepDims);
  const result = backend.executeSingleOutput('Mean', attributes, [inputs.x!, axes]);
  axes.dispose();
  return result;
}

const isIntegerOnGpu = ({ inputs, backend }: Call, name: string): boolean =>
  backend.isUsingGpuDevice && inputs[name]!.dtype === 'int32';

/** TensorFlow's number for float64, which holds every int32 and any sum of counts; the binding does not name it. */
const TF_DOUBLE = 2;

/** Runs an op on float64 copies of int32 inputs: those are computed on the GPU. Gives the result's id and type. */
function onDoubles(
  backend: NodeBackend,
  name: string,
  attributes: OpAttribute[],
  integers: readonly number[],
  others: readonly number[] = [],
) {
  const { binding } = backend;
  const casts = [type(backend, 'SrcT', binding.TF_INT32), type(backend, 'DstT', TF_DOUBLE)];
  const doubles = integers.map((id) => binding.executeOp('Cast', casts, [id], 1)[0]!.id);
  const [result] = binding.executeOp(name, attributes, [...doubles, ...others], 1);
  for (const id of doubles) binding.deleteTensor(id);
  return result!;
}

function integerSum(call: Call): TensorInfo {
  const { inputs, attrs, backend } = call;
  const { binding } = backend;
  const axes = axesOf(call);
  const [x, along] = backend.getInputTensorIds([inputs.x!, axes]) as [number, number];
  const sum = onDoubles(backend, 'Sum', reduction(backend, TF_DOUBLE, attrs.keepDims), [x], [along]);
  const casts = [type(backend, 'SrcT', TF_DOUBLE), type(backend, 'DstT', binding.TF_INT32)];
  const result = backend.createOutputTensor(binding.executeOp('Cast', casts, [sum.id], 1)[0]!);
  binding.deleteTensor(sum.id);
  axes.dispose();
  return result;
}

function integerComparison(name: string, { inputs, backend }: Call): TensorInfo {
  const ids = backend.getInputTensorIds([inputs.a!, inputs.b!]);
  return backend.createOutputTensor(onDoubles(backend, name, [type(backend, 'T', TF_DOUBLE)], ids));
}

function gather({ inputs, attrs, backend }: Call): TensorInfo {
  const { x, indices } = inputs as { x: TensorInfo; indices: TensorInfo };
  const axis = scalar(attrs.axis as number, 'int32');
  const attributes = [
    { name: 'batch_dims', type: backend.binding.TF_ATTR_INT, value: (attrs.batchDims as number) ?? 0 },
    type(backend, 'Tparams', backend.getDTypeInteger(x.dtype)),
    type(backend, 'Tindices', backend.getDTypeInteger(indices.dtype)),
    type(backend, 'Taxis', backend.binding.TF_INT32),
  ];
  const result = backend.executeSingleOutput('GatherV2', attributes, [x, indices, axis]);
  axis.dispose();
  return result;
}
