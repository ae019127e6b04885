import { add, gather, matMul, mean, mul, reshape, rsqrt, square, type Tensor } from '@tensorflow/tfjs-core';
import { fused } from '../engine/fused.js';
import { ACTIVATIONS } from './activations/index.js';
import { causalAttention, causalBias } from './attention.js';
import { EMBEDDING, FINAL_NORM, HEAD, layerName } from './parameters.js';
import { inverseFrequencies, type Rotation, rotaryTables, rotation } from './rope.js';
import type { ModelShape } from './shape.js';

export { tokenLosses } from './losses.js';

export type Parameters = Readonly<Record<string, Tensor>>;

/** One layer's FFN neurons on N tokens (Sparsing Law §1.1's notation). */
export interface Neurons {
  /** s = act(gate·x), [N, F]; without a gate the activation itself. */
  gate: Tensor;
  /** u·x, [N, F] (act(u·x) for drelu); null without a gate. */
  up: Tensor | null;
  /** What enters the down projection, [N, F]. */
  hidden: Tensor;
  /** The down projection, [D, F]. */
  down: Tensor;
}

/** Sees each layer's neurons and returns the values that enter its down projection (`hidden` to leave it alone). */
export type NeuronTap = (layer: number, neurons: Neurons) => Tensor;

/**
 * Next-token logits of a Llama-style model (Sparsing Law §3.1): pre-norm RMSNorm, rotary positions, causal
 * attention with grouped queries, gated FFN, no biases.
 * @param params by the names and shapes of `parameterShapes`
 * @param tokens [B, T] int32, ids below vocabSize
 * @returns [B·T, V]; row b·T + t predicts token t + 1 of sequence b
 */
export function forward(shape: ModelShape, params: Parameters, tokens: Tensor, tap?: NeuronTap): Tensor {
  return logitsOf(shape, params, hiddenStates(shape, params, tokens, tap));
}

/** The final norm's output, [B·T, D]: `forward` without its head, for callers that take the logits in pieces. */
export function hiddenStates(shape: ModelShape, params: Parameters, tokens: Tensor, tap?: NeuronTap): Tensor {
  const [batch, length] = tokens.shape as [number, number];
  // All layers share them, where they are needed at all.
  const rotate = lazily(() =>
    rotation(rotaryTables(inverseFrequencies(shape.ropeTheta, shape.headDim), length)),
  );
  const bias = lazily(() => causalBias(length));
  const { mup } = shape;
  const blockScale = mup ? mup.scaleDepth / Math.sqrt(shape.layers) : 1;

  const embedded = gather(params[EMBEDDING]!, reshape(tokens, [batch * length]));
  let x: Tensor = mup ? mul(embedded, mup.scaleEmbedding) : embedded;
  for (let layer = 0; layer < shape.layers; layer++) {
    const weight = (part: string) => params[layerName(layer, part)]!;
    const attended = selfAttention(
      shape,
      weight,
      rmsNorm(x, weight('input_layernorm'), shape.normEpsilon),
      [batch, length],
      rotate,
      bias,
    );
    x = add(x, scaled(attended, blockScale));
    const normed = rmsNorm(x, weight('post_attention_layernorm'), shape.normEpsilon);
    x = add(x, scaled(feedForward(shape, weight, normed, layer, tap), blockScale));
  }
  return rmsNorm(x, params[FINAL_NORM]!, shape.normEpsilon);
}

/** Logits of any rows of `hiddenStates`: [N, D] → [N, V]. */
export function logitsOf(shape: ModelShape, params: Parameters, hidden: Tensor): Tensor {
  const head = params[shape.tieEmbeddings ? EMBEDDING : HEAD]!;
  return linear(scaled(hidden, shape.mup ? shape.mup.widthBase / shape.width : 1), head);
}

type Weights = (part: string) => Tensor;

function selfAttention(
  shape: ModelShape,
  weight: Weights,
  x: Tensor,
  [batch, length]: [number, number],
  rotate: () => Rotation,
  bias: () => Tensor,
): Tensor {
  const { heads, kvHeads, headDim } = shape;
  const scale = 1 / Math.sqrt(headDim);
  const weights = ['q_proj', 'k_proj', 'v_proj'].map((part) => weight(`self_attn.${part}`));
  const whole =
    heads === kvHeads && heads * headDim === shape.width
      ? fused('SelfAttention', [x, ...weights], { length, heads, theta: shape.ropeTheta, scale })
      : undefined;
  if (whole) return linear(whole, weight('self_attn.o_proj'));
  const project = (part: string, count: number) =>
    reshape(linear(x, weight(part)), [batch, length, count, headDim]);
  const q = rotate()(project('self_attn.q_proj', heads));
  const k = rotate()(project('self_attn.k_proj', kvHeads));
  const v = project('self_attn.v_proj', kvHeads);
  const mixed = causalAttention(q, k, v, scale, bias());
  return linear(mixed, weight('self_attn.o_proj'));
}

function feedForward(
  shape: ModelShape,
  weight: Weights,
  x: Tensor,
  layer: number,
  tap: NeuronTap | undefined,
): Tensor {
  const activation = ACTIVATIONS[shape.activation];
  const linearUp = linear(x, weight('mlp.up_proj'));
  const down = weight('mlp.down_proj');
  const up = shape.gated ? (activation.onUp ? activation.apply(linearUp) : linearUp) : null;
  const gate = activation.apply(up ? linear(x, weight('mlp.gate_proj')) : linearUp);
  const hidden = up ? mul(gate, up) : gate;
  return linear(tap ? tap(layer, { gate, up, hidden, down }) : hidden, down);
}

/** x·Wᵀ: [N, in], [out, in] → [N, out]. */
export const linear = (x: Tensor, weight: Tensor): Tensor => matMul(x, weight, false, true);

/** x / √(mean(x²) + ε) · gain over the last axis. */
export const rmsNorm = (x: Tensor, gain: Tensor, epsilon: number): Tensor =>
  fused('RmsNorm', [x, gain], { epsilon }) ??
  mul(mul(x, rsqrt(add(mean(square(x), -1, true), epsilon))), gain);

/** What is made at its first use. */
function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor));
