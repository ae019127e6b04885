import { registerKernel, type TensorInfo } from '@tensorflow/tfjs-core';
import { maskedAttention, maskedAttentionGradient } from './attention-kernels.js';
import type { NodeBackend } from './backend.js';
import {
  type Attributes,
  binary,
  inScope,
  type Kernel,
  number,
  ops,
  reduce,
  reshaped,
  sumOfRows,
  turned,
  type,
  unary,
} from './scope.js';
import { selfAttention, selfAttentionGradient } from './self-attention-kernels.js';

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
  const dGain = sumOfRows(scope, binary(scope, 'Mul', dy!, normal!));
  return [binary(scope, 'Mul', across, factor!), dGain];
};

/** TensorFlow's own op gives softmax − one-hot beside the losses. */
const rowLosses: Kernel = (scope, _, logits, targets) => {
  const attributes = [type(scope, 'T', logits!.dtype), type(scope, 'Tlabels', targets!.dtype)];
  return ops(scope, 'SparseSoftmaxCrossEntropyWithLogits', [logits!, targets!], attributes, 2);
};

const rowLossesGradient: Kernel = (scope, _, logits, _targets, difference, dy) => [
  binary(scope, 'Mul', difference!, reshaped(scope, dy!, [logits!.shape[0]!, 1])),
];

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
  SelfAttention: selfAttention,
  SelfAttentionGradient: selfAttentionGradient,
  ReluGradient: reluGradient,
  SigmoidGradient: sigmoidGradient,
};
