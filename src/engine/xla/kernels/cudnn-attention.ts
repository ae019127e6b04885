import type { Node } from '../graph.js';
import { convert, result, transpose } from '../ops.js';
import type { TensorType } from '../types.js';
import { attribute, type Kernel, type KernelTable } from './kernel.js';

/**
 * cuDNN's fused causal attention as XLA's CUDA runtime takes it: custom calls on bfloat16 values
 * [batch, time, heads, headDim] whose results come as [batch, heads, time, headDim] in the operands' memory order.
 * The call forms are those of JAX 0.10.2 (`jax._src.cudnn.fused_attention_stablehlo`).
 */
const FORWARD = '__cudnn$fmhaSoftmax';
const BACKWARD = '__cudnn$fmhaSoftmaxBackward';

type Axes = readonly number[];
type Dimensions = readonly [lhsContracting: Axes, rhsContracting: Axes, lhsBatch: Axes, rhsBatch: Axes];

/** Axis numbers of the products inside, which XLA checks. */
const FORWARD_PRODUCTS: Readonly<Record<string, Dimensions>> = {
  bmm1: [[3], [3], [0, 2], [0, 2]],
  bmm2: [[3], [1], [0, 1], [0, 2]],
};
const BACKWARD_PRODUCTS: Readonly<Record<string, Dimensions>> = {
  bmm1_grad_gemm1: [[2], [1], [0, 1], [0, 2]],
  bmm1_grad_gemm2: [[3], [1], [0, 1], [0, 2]],
  bmm2_grad_gemm1: [[2], [1], [0, 1], [0, 2]],
  bmm2_grad_gemm2: [[3], [3], [0, 2], [0, 2]],
};

/** The JSON form of XLA's protobuf writes 64-bit numbers as text. */
const texts = (numbers: readonly number[]) => numbers.map(String);

const dimensionsOf = (products: Readonly<Record<string, Dimensions>>) =>
  Object.fromEntries(
    Object.entries(products).map(([name, [lhs, rhs, lhsBatch, rhsBatch]]) => [
      `${name}_dot_dimension_numbers`,
      {
        lhs_contracting_dimensions: texts(lhs),
        rhs_contracting_dimensions: texts(rhs),
        lhs_batch_dimensions: texts(lhsBatch),
        rhs_batch_dimensions: texts(rhsBatch),
      },
    ]),
  );

/** The call's configuration (XLA's `GpuBackendConfig` as JSON). `scores`: [batch, heads, time, time]. */
function configOf(
  scale: number,
  scores: readonly number[],
  products: Readonly<Record<string, Dimensions>>,
): string {
  return JSON.stringify({
    operation_queue_id: '0',
    cudnn_fmha_backend_config: {
      algorithm: {
        algo_id: '0',
        math_type: 'TENSOR_OP_MATH',
        tuning_knobs: { 17: '1', 24: '0' },
        is_cudnn_frontend: true,
        workspace_size: '0',
      },
      fmha_scale: scale,
      intermediate_tensor_shape: {
        element_type: 'BF16',
        dimensions: texts(scores),
        tuple_shapes: [],
        layout: {
          dim_level_types: [],
          dim_unique: [],
          dim_ordered: [],
          minor_to_major: ['3', '2', '1', '0'],
          tiles: [],
          element_size_in_bits: '0',
          memory_space: '0',
          index_primitive_type: 'PRIMITIVE_TYPE_INVALID',
          pointer_primitive_type: 'PRIMITIVE_TYPE_INVALID',
          dynamic_shape_metadata_prefix_bytes: '0',
        },
        is_dynamic_dimension: [false, false, false, false],
      },
      is_flash_attention: true,
      mask_type: 'CAUSAL',
      ...dimensionsOf(products),
      dropout_rate: 0,
      seed: 42,
      sliding_window_length: 0,
      max_seg_per_batch: 1,
      is_paged_attention: false,
    },
  });
}

const ROWS_FIRST: Axes = [3, 2, 1, 0];
/** A result [batch, heads, time, headDim] that lies in memory as [batch, time, heads, headDim]. */
const HEADS_INSIDE: Axes = [3, 1, 2, 0];
const STATISTICS: Axes = [2, 1, 0];
/** XLA gives the call its workspace as a last result, whose size it finds out itself. */
const WORKSPACE: TensorType = { element: 'u8', shape: [0] };

/** [batch, time, heads, headDim] → the type of a result of that content. */
const resultType = ({ type: { shape } }: Node): TensorType => {
  const [batch, time, heads, dim] = shape as [number, number, number, number];
  return { element: 'bf16', shape: [batch, heads, time, dim] };
};

const scoresOf = ({ type: { shape } }: Node): number[] => {
  const [batch, time, heads] = shape as [number, number, number];
  return [batch, heads, time, time];
};

/** A result in the axis order of the operands, as float32 for tfjs. */
const asOperand = (bundle: Node, index: number): Node =>
  convert(transpose(result(bundle, index), [0, 2, 1, 3]), 'f32');

const narrow = (x: Node): Node => convert(x, 'bf16');

const forward: Kernel = (call) => {
  const [q, k, v] = [call.inputs.q!, call.inputs.k!, call.inputs.v!].map(narrow) as [Node, Node, Node];
  const [batch, heads, time] = scoresOf(q) as [number, number, number];
  const bundle = call.graph.add(
    {
      op: 'custom_call',
      target: FORWARD,
      apiVersion: 2,
      config: configOf(attribute<number>(call, 'scale'), scoresOf(q), FORWARD_PRODUCTS),
      types: [resultType(q), { element: 'f32', shape: [batch, heads, time] }, WORKSPACE],
      operandLayouts: [ROWS_FIRST, ROWS_FIRST, ROWS_FIRST],
      resultLayouts: [HEADS_INSIDE, STATISTICS, [0]],
    },
    q,
    k,
    v,
  );
  return [asOperand(bundle, 0), result(bundle, 1)];
};

const backward: Kernel = (call) => {
  const { inputs } = call;
  const [q, k, v, dy, y] = [inputs.q!, inputs.k!, inputs.v!, inputs.dy!, inputs.y!].map(narrow) as [
    Node,
    Node,
    Node,
    Node,
    Node,
  ];
  const bundle = call.graph.add(
    {
      op: 'custom_call',
      target: BACKWARD,
      apiVersion: 2,
      config: configOf(attribute<number>(call, 'scale'), scoresOf(q), BACKWARD_PRODUCTS),
      types: [resultType(q), resultType(k), resultType(v), WORKSPACE],
      operandLayouts: [ROWS_FIRST, ROWS_FIRST, ROWS_FIRST, STATISTICS, ROWS_FIRST, ROWS_FIRST],
      resultLayouts: [HEADS_INSIDE, HEADS_INSIDE, HEADS_INSIDE, [0]],
    },
    q,
    k,
    v,
    inputs.logSums!,
    dy,
    y,
  );
  return [0, 1, 2].map((index) => asOperand(bundle, index));
};

/** Shapes that cuDNN's fused causal attention takes in bfloat16: q [B, T, H, D], k (and v) [B, T, K, D]. */
export function cudnnTakes(computeCapability: number, q: readonly number[], k: readonly number[]): boolean {
  const [, time, heads, dim] = q as [number, number, number, number];
  const largest = computeCapability >= 9 ? 256 : 128;
  return (
    computeCapability >= 8 &&
    dim % 8 === 0 &&
    dim <= largest &&
    k[1] === time &&
    heads % k[2]! === 0 &&
    time > 1
  );
}

export const ATTENTION_KERNELS: KernelTable = {
  CausalAttention: forward,
  CausalAttentionGradient: backward,
};
