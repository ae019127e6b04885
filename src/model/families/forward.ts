import {
  add,
  concat,
  gather,
  mean,
  mul,
  reshape,
  rsqrt,
  slice,
  square,
  sub,
  type Tensor,
  tanh,
} from '@tensorflow/tfjs-core';
import { ACTIVATIONS } from '../activations/index.js';
import { attention, causalAttention, causalBias } from '../attention.js';
import { EMBEDDING, FINAL_NORM, HEAD } from '../parameters.js';
import { type RotaryTables, rotaryTables, rotate } from '../rope.js';
import { linear, type NeuronTap, type Parameters, rmsNorm } from '../transformer.js';
import type { FamilySpec } from './spec.js';
import { POSITIONS } from './tensors.js';

/**
 * The final norm's output, [B·T, D], of a model of any supported family; as `hiddenStates` of transformer.ts,
 * which stays free of what only foreign checkpoints need.
 * @param params by the names and shapes of `familyTensors`
 * @param tokens [B, T] int32; T at most `maxPositions` where positions are learned
 */
export function familyHiddenStates(
  spec: FamilySpec,
  params: Parameters,
  tokens: Tensor,
  tap?: NeuronTap,
): Tensor {
  const [batch, length] = tokens.shape as [number, number];
  const context = contextOf(spec, params, batch, length, tap);
  let x: Tensor = gather(params[EMBEDDING]!, reshape(tokens, [batch * length]));
  x = scaled(x, spec.scaleEmbedding);
  if (spec.positions.kind === 'learned') {
    const rows = slice(params[POSITIONS]!, [spec.positions.offset, 0], [length, spec.width]);
    x = reshape(add(reshape(x, [batch, length, spec.width]), rows), [batch * length, spec.width]);
  }
  for (let layer = 0; layer < spec.layers; layer++) {
    const attended = scaled(attentionHalf(context, layer, x), spec.scaleBlock);
    const read = spec.parallel ? x : add(x, attended);
    const fed = scaled(ffnHalf(context, layer, read), spec.scaleBlock);
    x = spec.parallel ? add(add(x, attended), fed) : add(read, fed);
  }
  return normalised(context, FINAL_NORM.replace(/\.weight$/, ''), x);
}

/** Logits of rows of `familyHiddenStates`: [N, D] → [N, V]. */
export function familyLogits(spec: FamilySpec, params: Parameters, hidden: Tensor): Tensor {
  const head = params[spec.tieEmbeddings ? EMBEDDING : HEAD]!;
  return capped(linear(scaled(hidden, spec.scaleHead), head), spec.logitCap);
}

interface Context {
  spec: FamilySpec;
  params: Parameters;
  batch: number;
  length: number;
  tables: RotaryTables | null;
  /** Attention's additive mask of each layer; layers of one window share it. */
  masks: Tensor[];
  tap: NeuronTap | undefined;
}

function contextOf(
  spec: FamilySpec,
  params: Parameters,
  batch: number,
  length: number,
  tap: NeuronTap | undefined,
): Context {
  const { positions } = spec;
  const byWindow = new Map<number | null, Tensor>();
  const masks = spec.windows.map((window) => {
    // A window as long as the sequence hides nothing.
    const effective = window !== null && window < length ? window : null;
    const mask = byWindow.get(effective) ?? causalBias(length, effective);
    byWindow.set(effective, mask);
    return mask;
  });
  const tables =
    positions.kind === 'rotary'
      ? rotaryTables(positions.frequencies(length), length, positions.magnitude)
      : null;
  return { spec, params, batch, length, tables, masks, tap };
}

function attentionHalf(context: Context, layer: number, x: Tensor): Tensor {
  const { spec, params, batch, length, masks } = context;
  const prefix = `model.layers.${layer}`;
  const input = spec.blockNorms.attentionInput ? normalised(context, `${prefix}.input_layernorm`, x) : x;
  const project = (part: string, heads: number, norm?: string) => {
    const projected = affine(params, `${prefix}.self_attn.${part}`, input);
    const whole =
      norm && spec.queryKeyNorm === 'all-heads'
        ? normalised(context, `${prefix}.self_attn.${norm}`, projected)
        : projected;
    const split = reshape(whole, [batch, length, heads, spec.headDim]);
    return norm && spec.queryKeyNorm === 'head'
      ? normalised(context, `${prefix}.self_attn.${norm}`, split)
      : split;
  };
  const q = turned(context, project('q_proj', spec.heads, 'q_norm'));
  const k = turned(context, project('k_proj', spec.kvHeads, 'k_norm'));
  const v = project('v_proj', spec.kvHeads);
  const mask = masks[layer]!;
  const window = spec.windows[layer];
  const plain = spec.attentionCap === null && (window == null || window >= length);
  const mixed = plain
    ? causalAttention(q, k, v, spec.attentionScale, mask)
    : attention(q, k, v, spec.attentionScale, mask, (scores) => capped(scores, spec.attentionCap));
  const output = affine(params, `${prefix}.self_attn.o_proj`, mixed);
  return spec.blockNorms.attentionOutput
    ? normalised(context, `${prefix}.attention_output_norm`, output)
    : output;
}

function ffnHalf(context: Context, layer: number, x: Tensor): Tensor {
  const { spec, params, tap } = context;
  const prefix = `model.layers.${layer}`;
  const { apply, onUp } = ACTIVATIONS[spec.activation];
  const input = spec.blockNorms.ffnInput ? normalised(context, `${prefix}.post_attention_layernorm`, x) : x;
  const linearUp = affine(params, `${prefix}.mlp.up_proj`, input);
  const up = spec.gated ? (onUp ? apply(linearUp) : linearUp) : null;
  const gate = apply(up ? affine(params, `${prefix}.mlp.gate_proj`, input) : linearUp);
  const hidden = up ? mul(gate, up) : gate;
  const down = params[`${prefix}.mlp.down_proj.weight`]!;
  const output = affine(
    params,
    `${prefix}.mlp.down_proj`,
    tap ? tap(layer, { gate, up, hidden, down }) : hidden,
  );
  return spec.blockNorms.ffnOutput ? normalised(context, `${prefix}.ffn_output_norm`, output) : output;
}

/** x·Wᵀ, plus the bias where the family has one (`familyTensors` then asks for the tensor). */
function affine(params: Parameters, name: string, x: Tensor): Tensor {
  const product = linear(x, params[`${name}.weight`]!);
  const bias = params[`${name}.bias`];
  return bias ? add(product, bias) : product;
}

function normalised({ spec, params }: Context, name: string, x: Tensor): Tensor {
  const gain = params[`${name}.weight`]!;
  const { kind, epsilon } = spec.norm;
  if (kind === 'rms') return rmsNorm(x, gain, epsilon);
  if (kind === 'rms-plus-one') return rmsNorm(x, add(gain, 1), epsilon);
  const centred = sub(x, mean(x, -1, true));
  const unit = mul(centred, rsqrt(add(mean(square(centred), -1, true), epsilon)));
  return add(mul(unit, gain), params[`${name}.bias`]!);
}

/** Rotates the leading elements of each head; [B, T, heads, Dh]. */
function turned({ spec, tables }: Context, x: Tensor): Tensor {
  if (!tables || spec.positions.kind !== 'rotary') return x;
  const { rotated } = spec.positions;
  if (rotated === spec.headDim) return rotate(x, tables);
  const start = x.shape.map(() => 0);
  const outer = x.shape.slice(0, -1);
  const turning = slice(x, start, [...outer, rotated]);
  const rest = slice(x, [...start.slice(0, -1), rotated], [...outer, spec.headDim - rotated]);
  return concat([rotate(turning, tables), rest], -1);
}

const capped = (x: Tensor, cap: number | null): Tensor =>
  cap === null ? x : mul(tanh(mul(x, 1 / cap)), cap);
const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor));
