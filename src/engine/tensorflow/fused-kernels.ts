import { registerKernel, type TensorInfo } from '@tensorflow/tfjs-core';
import type { NodeBackend } from './backend.js';
import {
  binary,
  free,
  type Handle,
  inScope,
  joined,
  number,
  ops,
  padded,
  part,
  product,
  reduce,
  reshaped,
  rolled,
  type Scope,
  transposed,
  type,
  unary,
} from './scope.js';

type Attributes = Readonly<Record<string, number>>;
type Kernel = (scope: Scope, attributes: Attributes, ...inputs: Handle[]) => readonly Handle[];

/**
 * Registers the kernels that `fused` asks for: forms with fewer passes over memory and fewer ops than what autodiff
 * makes of the plain ones. On a GPU TensorFlow is slow where one operand is repeated along inner axes, on the host
 * every op costs time.
 */
export function registerFusedKernels(backendName: string): void {
  for (const [kernelName, kernel] of Object.entries(KERNELS)) {
    registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend }) =>
        inScope(backend as NodeBackend, Object.values(inputs) as TensorInfo[], (scope, ...handles) =>
          kernel(scope, attrs as unknown as Attributes, ...handles),
        ),
    });
  }
}

const ROWS = -1;
const COLUMNS = 0;

/** @returns y, and for the gradient the normalised x and 1/√(mean(x²) + ε) */
const rmsNorm: Kernel = (scope, { epsilon }, x, gain) => {
  const meanSquare = reduce(scope, 'Mean', unary(scope, 'Square', x!), ROWS, true);
  const factor = unary(scope, 'Rsqrt', binary(scope, 'AddV2', meanSquare, number(scope, epsilon!)));
  const normal = binary(scope, 'Mul', x!, factor);
  return [binary(scope, 'Mul', normal, gain!), normal, factor];
};

/** With x̂ the normalised x and r its factor: dx = r·(dy·gain − x̂·mean(dy·gain·x̂)), dgain = Σ dy·x̂ over rows. */
const rmsNormGradient: Kernel = (scope, _, _x, gain, normal, factor, dy) => {
  const dNormal = binary(scope, 'Mul', dy!, gain!);
  const along = reduce(scope, 'Mean', binary(scope, 'Mul', dNormal, normal!), ROWS, true);
  const across = binary(scope, 'Sub', dNormal, binary(scope, 'Mul', normal!, along));
  const dGain = reduce(scope, 'Sum', binary(scope, 'Mul', dy!, normal!), COLUMNS, false);
  return [binary(scope, 'Mul', across, factor!), dGain];
};

/** `sign` −1 turns back, which is the gradient: the swap takes sin to −sin. */
const turned = (scope: Scope, sign: 1 | -1, x: Handle, cos: Handle, sin: Handle): Handle => {
  const last = x.shape.length - 1;
  const swapped = rolled(scope, x, x.shape[last]! / 2, last);
  const name = sign === 1 ? 'AddV2' : 'Sub';
  return binary(scope, name, binary(scope, 'Mul', x, cos), binary(scope, 'Mul', swapped, sin));
};

/** TensorFlow's own op gives softmax − one-hot beside the losses. */
const rowLosses: Kernel = (scope, _, logits, targets) => {
  const attributes = [type(scope, 'T', logits!.dtype), type(scope, 'Tlabels', targets!.dtype)];
  return ops(scope, 'SparseSoftmaxCrossEntropyWithLogits', [logits!, targets!], attributes, 2);
};

const rowLossesGradient: Kernel = (scope, _, logits, _targets, difference, dy) => [
  binary(scope, 'Mul', difference!, reshaped(scope, dy!, [logits!.shape[0]!, 1])),
];

/** [B, T, H, D] ↔ [B, H, T, D] */
const HEADS_FIRST = [0, 2, 1, 3];
const TIME = 2;

/**
 * Queries go in blocks, each with the keys up to its end: of the scores above the diagonal, which count for nothing,
 * half are never computed with two blocks, and three quarters with four.
 */
function blocksOf(length: number): [from: number, to: number][] {
  const count = length >= BLOCKED_FROM && length % BLOCKS === 0 ? BLOCKS : 1;
  const size = length / count;
  return Array.from({ length: count }, (_, i) => [i * size, (i + 1) * size]);
}
const BLOCKS = 2;
/** Shorter sequences have so few scores that the ops of more blocks cost more than they save. */
const BLOCKED_FROM = 256;

/** @returns y, and for the gradient q·scale, k, v and the mix heads first, and each block's weights */
const maskedAttention: Kernel = (scope, { scale }, q, k, v) => {
  const queries = transposed(scope, binary(scope, 'Mul', q!, number(scope, scale!)), HEADS_FIRST);
  const [keys, values] = [k!, v!].map((x) => transposed(scope, x, HEADS_FIRST)) as [Handle, Handle];
  const blocks = blocksOf(q!.shape[1]!);
  const weights: Handle[] = [];
  const mixes = blocks.map(([from, to]) => {
    const [some, seen] = [cut(scope, queries, from, to), cut(scope, keys, 0, to)];
    const scores = product(scope, some, seen, { b: true });
    const masked = binary(scope, 'AddV2', scores, bias(scope.backend, from, to));
    free(scope, scores);
    weights.push(unary(scope, 'Softmax', masked));
    free(scope, masked);
    return product(scope, weights.at(-1)!, cut(scope, values, 0, to));
  });
  const mixed = joined(scope, mixes, TIME);
  return [transposed(scope, mixed, HEADS_FIRST), queries, keys, values, mixed, ...weights];
};

/** Softmax's gradient needs Σ_j dp_j·p_j of each row: that is Σ dy·y over the head, a much smaller sum. */
const maskedAttentionGradient: Kernel = (scope, { scale }, ...all) => {
  const [, , , queries, keys, values, mixed, ...rest] = all as Handle[];
  const weights = rest.slice(0, -1);
  const length = queries!.shape[TIME]!;
  const dMixed = transposed(scope, rest.at(-1)!, HEADS_FIRST);
  const sums = reduce(scope, 'Sum', binary(scope, 'Mul', dMixed, mixed!), ROWS, true);
  const parts = blocksOf(length).map(([from, to], i) => {
    const [some, dSome] = [cut(scope, queries!, from, to), cut(scope, dMixed, from, to)];
    const dWeights = product(scope, dSome, cut(scope, values!, 0, to), { b: true });
    const centred = binary(scope, 'Sub', dWeights, cut(scope, sums, from, to));
    free(scope, dWeights);
    const dScores = binary(scope, 'Mul', weights[i]!, centred);
    free(scope, centred);
    const dQueries = product(scope, dScores, cut(scope, keys!, 0, to));
    const dKeys = padded(scope, product(scope, dScores, some, { a: true }), TIME, length);
    free(scope, dScores);
    const dValues = padded(scope, product(scope, weights[i]!, dSome, { a: true }), TIME, length);
    return { dQueries, dKeys, dValues };
  });
  const total = (of: 'dKeys' | 'dValues') =>
    parts.map((each) => each[of]).reduce((a, b) => binary(scope, 'AddV2', a, b));
  const dQueries = joined(
    scope,
    parts.map((each) => each.dQueries),
    TIME,
  );
  return [binary(scope, 'Mul', dQueries, number(scope, scale!)), total('dKeys'), total('dValues')].map((x) =>
    transposed(scope, x, HEADS_FIRST),
  );
};

/** Positions `from` to `to`; the tensor itself where those are all. */
const cut = (scope: Scope, x: Handle, from: number, to: number): Handle =>
  from === 0 && to === x.shape[TIME] ? x : part(scope, x, TIME, from, to);

/** exp(score − 1e9) is exactly 0 in single precision, and nothing is infinite. */
const BLOCKED = -1e9;

const biases = new Map<string, Handle>();

/** [to − from, to]: 0 where query from + i sees key j, −1e9 where not; kept, as every layer and step takes the same. */
function bias(backend: NodeBackend, from: number, to: number): Handle {
  const key = `${from}–${to}`;
  let known = biases.get(key);
  if (!known) {
    const values = Float32Array.from({ length: (to - from) * to }, (_, i) =>
      i % to <= from + Math.floor(i / to) ? 0 : BLOCKED,
    );
    const { binding } = backend;
    const id = binding.createTensor([to - from, to], binding.TF_FLOAT, values);
    known = { id, shape: [to - from, to], dtype: binding.TF_FLOAT };
    biases.set(key, known);
  }
  return known;
}

const reluGradient: Kernel = (scope, _, dy, x) => [binary(scope, 'ReluGrad', dy!, x!)];
const sigmoidGradient: Kernel = (scope, _, y, dy) => [binary(scope, 'SigmoidGrad', y!, dy!)];

const KERNELS: Readonly<Record<string, Kernel>> = {
  RmsNorm: rmsNorm,
  RmsNormGradient: rmsNormGradient,
  RotateHalves: (scope, _, x, cos, sin) => [turned(scope, 1, x!, cos!, sin!)],
  RotateHalvesGradient: (scope, _, _x, cos, sin, dy) => [turned(scope, -1, dy!, cos!, sin!)],
  RowLosses: rowLosses,
  RowLossesGradient: rowLossesGradient,
  MaskedAttention: maskedAttention,
  MaskedAttentionGradient: maskedAttentionGradient,
  ReluGradient: reluGradient,
  SigmoidGradient: sigmoidGradient,
};
