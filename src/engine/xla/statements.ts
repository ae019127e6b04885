import type { Node } from './graph.js';
import type { CustomCall, Operation } from './operations.js';
import { type ElementType, isFloat, type TensorType } from './types.js';

export interface EmissionOptions {
  /** Multiply float32 matrices in full precision also where the device would round operands (GPUs: TF32). */
  readonly exactProducts?: boolean;
}

/** MLIR's spelling of unsigned integers. */
const elementText = (element: ElementType): string =>
  element.startsWith('u') ? `ui${element.slice(1)}` : element;

/** `tensor<2x3xf32>` */
export const typeText = ({ element, shape }: TensorType): string =>
  `tensor<${shape.map((n) => `${n}x`).join('')}${elementText(element)}>`;

const list = (numbers: readonly number[]): string => `[${numbers.join(', ')}]`;
/** MLIR's `array<i64: 1, 2>`; empty without the colon. */
const array = (numbers: readonly number[]): string =>
  numbers.length === 0 ? 'array<i64>' : `array<i64: ${numbers.join(', ')}>`;

/** The right-hand side of an operation's line: `stablehlo.add %0, %1 : tensor<2xf32>`. */
export function expression(
  node: Node,
  operands: readonly string[],
  indent: string,
  options: EmissionOptions,
): string {
  const { operation, inputs, types } = node;
  const name = `stablehlo.${operation.op}`;
  const values = operands.join(', ');
  const result = typeText(node.type);
  const results = types.length > 1 ? `(${types.map(typeText).join(', ')})` : result;
  const signature = `(${inputs.map(({ type }) => typeText(type)).join(', ')}) -> ${results}`;
  switch (operation.op) {
    case 'constant':
      return `${name} ${operation.literal.text} : ${result}`;
    case 'iota':
      return `${name} dim = ${operation.axis} : ${result}`;
    case 'compare':
      return `${name} ${operation.direction}, ${values}, ${comparison(inputs[0]!.type.element)} : ${signature}`;
    case 'select':
      return `${name} ${values} : ${typeText(inputs[0]!.type)}, ${result}`;
    case 'is_finite':
    case 'convert':
    case 'bitcast_convert':
    case 'reshape':
      return `${name} ${values} : ${signature}`;
    case 'broadcast_in_dim':
      return `${name} ${values}, dims = ${list(operation.axes)} : ${signature}`;
    case 'transpose':
      return `${name} ${values}, dims = ${list(operation.order)} : ${signature}`;
    case 'reverse':
      return `${name} ${values}, dims = ${list(operation.axes)} : ${result}`;
    case 'slice':
      return `${name} ${values} [${sliceRanges(operation)}] : ${signature}`;
    case 'pad': {
      const interior = list(operation.low.map(() => 0));
      return `${name} ${values}, low = ${list(operation.low)}, high = ${list(operation.high)}, interior = ${interior} : ${signature}`;
    }
    case 'concatenate':
      return `${name} ${values}, dim = ${operation.axis} : ${signature}`;
    case 'reduce':
      return `${name}(${operands[0]} init: ${operands[1]}) applies stablehlo.${operation.combiner} across dimensions = ${list(operation.axes)} : ${signature}`;
    case 'cumulate':
      return cumulateText(operation, values, node, signature, indent);
    case 'dot_general':
      return `${name} ${values}, ${dotText(operation, inputs[0]!.type.element, options)} : ${signature}`;
    case 'gather':
      return `"${name}"(${values}) <{${gatherText(operation)}}> : ${signature}`;
    case 'scatter':
      return scatterText(operation, values, node, signature, indent);
    case 'dynamic_slice':
      return `${name} ${values}, sizes = ${list(operation.sizes)} : ${signature}`;
    case 'sort_descending':
      return sortText(operation.axis, values, node, signature, indent);
    case 'rng_bit_generator':
      return `${name} ${values}, algorithm = THREE_FRY : ${signature}`;
    case 'custom_call':
      return `${name} @"${operation.target}"(${values}) {${customCallText(operation)}} : ${signature}`;
    case 'all_reduce':
      return `"${name}"(${values}) <{${replicaGroups(operation.devices)}}> ${combinerRegion('add', node.type.element, indent)} : ${signature}`;
    case 'all_gather':
      return `"${name}"(${values}) <{all_gather_dim = ${operation.axis} : i64, ${replicaGroups(operation.devices)}}> : ${signature}`;
    case 'replica_id':
      return `${name} : ${result}`;
    case 'parameter':
    case 'loop_argument':
    case 'loop':
    case 'result':
      throw new Error(`${operation.op} has no line of its own`);
    default:
      return `${name} ${values} : ${result}`;
  }
}

const comparison = (element: ElementType): string => {
  if (isFloat(element)) return 'FLOAT';
  return element === 'i32' ? 'SIGNED' : 'UNSIGNED';
};

const sliceRanges = ({ start, limit, strides }: Extract<Operation, { op: 'slice' }>): string =>
  start.map((from, i) => `${from}:${limit[i]}${strides[i] === 1 ? '' : `:${strides[i]}`}`).join(', ');

function dotText(
  dot: Extract<Operation, { op: 'dot_general' }>,
  element: ElementType,
  { exactProducts }: EmissionOptions,
): string {
  const batching =
    dot.lhsBatch.length > 0 ? `batching_dims = ${list(dot.lhsBatch)} x ${list(dot.rhsBatch)}, ` : '';
  const precision = exactProducts && element === 'f32' ? ', precision = [HIGHEST, HIGHEST]' : '';
  return `${batching}contracting_dims = ${list(dot.lhsContracting)} x ${list(dot.rhsContracting)}${precision}`;
}

const gatherText = (gather: Extract<Operation, { op: 'gather' }>): string =>
  `dimension_numbers = #stablehlo.gather<offset_dims = ${list(gather.offset)}, ` +
  `collapsed_slice_dims = ${list(gather.collapsed)}, start_index_map = ${list(gather.startIndexMap)}, ` +
  `index_vector_dim = ${gather.indexVector}>, indices_are_sorted = false, ` +
  `slice_sizes = ${array(gather.sliceSizes)}`;

/** All devices in one group. */
const replicaGroups = (devices: number): string =>
  `replica_groups = dense<[${list(Array.from({ length: devices }, (_, i) => i))}]> : tensor<1x${devices}xi64>`;

/** A string as MLIR writes it. */
export const quoted = (text: string): string =>
  `"${text.replace(/[\\"\n]/g, (c) => `\\${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)}"`;

function customCallText(call: CustomCall): string {
  const layout = (axes: readonly number[]) =>
    axes.length === 0 ? 'dense<> : tensor<0xindex>' : `dense<${list(axes)}> : tensor<${axes.length}xindex>`;
  const layouts = (all: readonly (readonly number[])[]) => `[${all.map(layout).join(', ')}]`;
  const config = call.apiVersion === 4 ? `{${call.config}}` : quoted(call.config);
  return (
    `api_version = ${call.apiVersion} : i32, backend_config = ${config}, ` +
    `operand_layouts = ${layouts(call.operandLayouts)}, result_layouts = ${layouts(call.resultLayouts)}`
  );
}

/** A region that combines two scalars (`replace`: takes the second). */
function combinerRegion(combiner: string, element: ElementType, indent: string): string {
  const scalar = typeText({ element, shape: [] });
  const body =
    combiner === 'replace'
      ? [`stablehlo.return %b : ${scalar}`]
      : [`%c = stablehlo.${combiner} %a, %b : ${scalar}`, `stablehlo.return %c : ${scalar}`];
  return [
    '({',
    `${indent}^bb0(%a: ${scalar}, %b: ${scalar}):`,
    ...body.map((line) => `${indent}  ${line}`),
    `${indent}})`,
  ].join('\n');
}

function cumulateText(
  { combiner, axis, reverse }: Extract<Operation, { op: 'cumulate' }>,
  values: string,
  { type }: Node,
  signature: string,
  indent: string,
): string {
  const { shape, element } = type;
  const reach = shape[axis]! - 1;
  const padding = shape.map((_, i) => {
    if (i !== axis) return '[0, 0]';
    return reverse ? `[0, ${reach}]` : `[${reach}, 0]`;
  });
  const window = shape.map((n, i) => (i === axis ? n : 1));
  return (
    `"stablehlo.reduce_window"(${values}) <{padding = dense<[${padding.join(', ')}]> : tensor<${shape.length}x2xi64>, ` +
    `window_dimensions = ${array(window)}}> ${combinerRegion(combiner, element, indent)} : ${signature}`
  );
}

function scatterText(
  operation: Extract<Operation, { op: 'scatter' }>,
  values: string,
  { type }: Node,
  signature: string,
  indent: string,
): string {
  const { updateWindow, inserted, toOperand, indexVector, combiner } = operation;
  return (
    `"stablehlo.scatter"(${values}) <{scatter_dimension_numbers = #stablehlo.scatter<` +
    `update_window_dims = ${list(updateWindow)}, inserted_window_dims = ${list(inserted)}, ` +
    `scatter_dims_to_operand_dims = ${list(toOperand)}, index_vector_dim = ${indexVector}>, ` +
    `indices_are_sorted = false, unique_indices = false}> ${combinerRegion(combiner, type.element, indent)} : ${signature}`
  );
}

function sortText(axis: number, values: string, node: Node, signature: string, indent: string): string {
  const args = node.types.flatMap(({ element }, i) => {
    const scalar = typeText({ element, shape: [] });
    return [`%a${i}: ${scalar}`, `%b${i}: ${scalar}`];
  });
  const { element } = node.type;
  const scalar = typeText({ element, shape: [] });
  return [
    `"stablehlo.sort"(${values}) <{dimension = ${axis} : i64, is_stable = true}> ({`,
    `${indent}^bb0(${args.join(', ')}):`,
    `${indent}  %c = stablehlo.compare GT, %a0, %b0, ${comparison(element)} : (${scalar}, ${scalar}) -> tensor<i1>`,
    `${indent}  stablehlo.return %c : tensor<i1>`,
    `${indent}}) : ${signature}`,
  ].join('\n');
}
