/**
 * The slow, independent reference: activation sparsity written from the specification (Sparsing Law §1) in
 * float64 and plain arrays, one token at a time, with its own forward pass. It shares no code with src.
 */

export interface ReferenceModel {
  layers: number;
  width: number;
  ff: number;
  heads: number;
  vocab: number;
  gated: boolean;
  act: 'relu' | 'silu';
  epsilon: number;
  theta: number;
  /** Row-major [out, in], by transformers' Llama names. */
  weights: Record<string, Float32Array>;
}

type Vector = number[];

const dot = (w: Float32Array, row: number, x: Vector): number => {
  let sum = 0;
  const base = row * x.length;
  for (let i = 0; i < x.length; i++) sum += w[base + i]! * x[i]!;
  return sum;
};
const apply = (w: Float32Array, rows: number, x: Vector): Vector =>
  Array.from({ length: rows }, (_, r) => dot(w, r, x));
const plus = (a: Vector, b: Vector): Vector => a.map((v, i) => v + b[i]!);
const length = (v: Vector): number => Math.sqrt(v.reduce((s, x) => s + x * x, 0));

function norm(x: Vector, gain: Float32Array, epsilon: number): Vector {
  const scale = 1 / Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length + epsilon);
  return x.map((v, i) => v * scale * gain[i]!);
}

function turn(x: Vector, position: number, theta: number): Vector {
  const half = x.length / 2;
  return x.map((v, i) => {
    const angle = position * theta ** ((-2 * (i % half)) / x.length);
    const partner = i < half ? -x[i + half]! : x[i - half]!;
    return v * Math.cos(angle) + partner * Math.sin(angle);
  });
}

/** One layer's neurons for one token. */
export interface TokenNeurons {
  s: Vector;
  h: Vector;
}

/** What is dropped: true for a neuron to leave out. */
export type Drop = (layer: number, neurons: TokenNeurons) => boolean[];

export interface ReferencePass {
  /** Mean loss of each window. */
  losses: number[];
  /** [layer][token], in order of the windows. */
  neurons: TokenNeurons[][];
  /** [layer], neurons kept and not 0. */
  active: number[];
}

/** Logits of every position of a window's inputs; `see` receives each layer's neurons and says what enters `down`. */
function logits(
  m: ReferenceModel,
  inputs: number[],
  see: (layer: number, neurons: TokenNeurons) => Vector,
): Vector[] {
  let states = inputs.map((id) => [
    ...m.weights['model.embed_tokens.weight']!.subarray(id * m.width, (id + 1) * m.width),
  ]);
  for (let l = 0; l < m.layers; l++) {
    const w = (part: string) => m.weights[`model.layers.${l}.${part}.weight`]!;
    const size = m.width / m.heads;
    const normed = states.map((x) => norm(x, w('input_layernorm'), m.epsilon));
    const q = normed.map((x) => apply(w('self_attn.q_proj'), m.width, x));
    const k = normed.map((x) => apply(w('self_attn.k_proj'), m.width, x));
    const v = normed.map((x) => apply(w('self_attn.v_proj'), m.width, x));
    const head = (x: Vector, h: number) => x.slice(h * size, (h + 1) * size);
    // Every head's keys, turned once: a window's later tokens all look at them.
    const keys = k.map((x, j) => Array.from({ length: m.heads }, (_, h) => turn(head(x, h), j, m.theta)));
    states = states.map((x, t) => {
      const mixed: Vector = [];
      for (let h = 0; h < m.heads; h++) {
        const query = turn(head(q[t]!, h), t, m.theta);
        const scores: number[] = [];
        for (let j = 0; j <= t; j++) {
          const key = keys[j]![h]!;
          scores.push(query.reduce((sum, a, i) => sum + a * key[i]!, 0) / Math.sqrt(size));
        }
        const top = Math.max(...scores);
        const shares = scores.map((score) => Math.exp(score - top));
        const all = shares.reduce((a, b) => a + b, 0);
        for (let i = 0; i < size; i++) {
          mixed.push(shares.reduce((sum, a, j) => sum + (a / all) * v[j]![h * size + i]!, 0));
        }
      }
      return plus(x, apply(w('self_attn.o_proj'), m.width, mixed));
    });
    states = states.map((x) => {
      const y = norm(x, w('post_attention_layernorm'), m.epsilon);
      const act = (z: number) => (m.act === 'relu' ? Math.max(z, 0) : z / (1 + Math.exp(-z)));
      const up = apply(w('mlp.up_proj'), m.ff, y);
      const s = (m.gated ? apply(w('mlp.gate_proj'), m.ff, y) : up).map(act);
      const h = m.gated ? s.map((a, i) => a * up[i]!) : s;
      return plus(x, apply(w('mlp.down_proj'), m.width, see(l, { s, h })));
    });
  }
  return states.map((x) =>
    apply(m.weights['lm_head.weight']!, m.vocab, norm(x, m.weights['model.norm.weight']!, m.epsilon)),
  );
}

function logSumExp(scores: Vector): number {
  const top = Math.max(...scores);
  return top + Math.log(scores.reduce((a, z) => a + Math.exp(z - top), 0));
}

/** Windows hold one id more than they predict. */
export function run(m: ReferenceModel, windows: number[][], drop?: Drop): ReferencePass {
  const neurons: TokenNeurons[][] = Array.from({ length: m.layers }, () => []);
  const active = new Array<number>(m.layers).fill(0);
  const losses = windows.map((ids) => {
    const scores = logits(m, ids.slice(0, -1), (layer, token) => {
      neurons[layer]!.push(token);
      const out = drop?.(layer, token);
      const kept = token.h.map((value, i) => (out?.[i] ? 0 : value));
      active[layer]! += kept.filter((value) => value !== 0).length;
      return kept;
    });
    return mean(scores.map((row, t) => logSumExp(row) - row[ids[t + 1]!]!));
  });
  return { losses, neurons, active };
}

export const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Column i of W_down. */
export function column(m: ReferenceModel, layer: number, i: number): Vector {
  const w = m.weights[`model.layers.${layer}.mlp.down_proj.weight`]!;
  return Array.from({ length: m.width }, (_, r) => w[r * m.ff + i]!);
}

export function columnNorms(m: ReferenceModel, layer: number): Vector {
  return Array.from({ length: m.ff }, (_, i) => length(column(m, layer, i)));
}

/** Σ_i h_i w_i over some neurons. */
function combine(columns: Vector[], h: Vector, chosen: (i: number) => boolean): Vector {
  const out = new Array<number>(columns[0]!.length).fill(0);
  h.forEach((value, i) => {
    if (chosen(i))
      columns[i]!.forEach((w, r) => {
        out[r]! += value * w;
      });
  });
  return out;
}

/**
 * CETT of a layer as a function of the threshold, exactly: a step function whose steps are at the values of N,
 * passed one by one in ascending order. `cett[k]` is the mean once the k + 1 smallest are dropped.
 */
export interface CettCurve {
  n: number[];
  cett: number[];
}

export function cettCurve(columns: Vector[], tokens: Vector[]): CettCurve {
  const norms = columns.map(length);
  const events = tokens
    .flatMap((h, t) => h.map((value, i) => ({ t, i, n: Math.abs(value) * norms[i]! })))
    .filter(({ n }) => n > 0)
    .sort((a, b) => a.n - b.n);
  const totals = tokens.map((h) => length(combine(columns, h, () => true)));
  const errors = tokens.map(() => new Array<number>(columns[0]!.length).fill(0));
  const ratios = new Array<number>(tokens.length).fill(0);
  let sum = 0;
  const cett = events.map(({ t, i }) => {
    columns[i]!.forEach((w, r) => {
      errors[t]![r]! += tokens[t]![i]! * w;
    });
    sum -= ratios[t]!;
    ratios[t] = length(errors[t]!) / totals[t]!;
    sum += ratios[t]!;
    return sum / tokens.length;
  });
  return { n: events.map(({ n }) => n), cett };
}

/** The largest threshold before CETT first exceeds the bound; +∞ where it never does. */
export function firstCrossing({ n, cett }: CettCurve, bound: number): number {
  // A hair of room for the rounding of the running sum: bound 1 drops everything.
  const index = cett.findIndex((value) => value > bound * (1 + 1e-9));
  return index < 0 ? Number.POSITIVE_INFINITY : n[index]!;
}

/** A small generator of its own (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Sizes {
  layers: number;
  gated: boolean;
  act: 'relu' | 'silu';
  width?: number;
  ff?: number;
  heads?: number;
  vocab?: number;
  seed?: number;
}

/** Random weights, of a size at which the FFNs matter and logits are a few nats apart. */
export function randomModel(sizes: Sizes): ReferenceModel {
  const { layers, gated, act, width = 8, ff = 64, heads = 2, vocab = 24, seed = 1 } = sizes;
  const random = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const matrix = (rows: number, columns: number, deviation: number) =>
    Float32Array.from({ length: rows * columns }, () => normal() * deviation);
  const gain = () => Float32Array.from({ length: width }, () => 1 + 0.1 * normal());
  const weights: Record<string, Float32Array> = { 'model.embed_tokens.weight': matrix(vocab, width, 1) };
  for (let l = 0; l < layers; l++) {
    const name = (part: string) => `model.layers.${l}.${part}.weight`;
    weights[name('input_layernorm')] = gain();
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) {
      weights[name(`self_attn.${part}`)] = matrix(width, width, 0.3);
    }
    weights[name('post_attention_layernorm')] = gain();
    if (gated) weights[name('mlp.gate_proj')] = matrix(ff, width, 0.4);
    weights[name('mlp.up_proj')] = matrix(ff, width, 0.4);
    weights[name('mlp.down_proj')] = matrix(width, ff, 0.2);
  }
  weights['model.norm.weight'] = gain();
  weights['lm_head.weight'] = matrix(vocab, width, 0.6);
  return { layers, width, ff, heads, vocab, gated, act, epsilon: 1e-5, theta: 10000, weights };
}

/**
 * Windows that the model itself speaks, one stream cut as the contract says: the dense model is then the best
 * predictor of them, so that dropping neurons costs perplexity.
 */
export function spoken(m: ReferenceModel, windows: number, seqLen: number, seed = 7): number[][] {
  const random = generator(seed);
  return Array.from({ length: windows }, () => {
    const ids = [Math.floor(random() * m.vocab)];
    while (ids.length <= seqLen) {
      const scores = logits(m, ids, (_, { h }) => h).at(-1)!;
      const top = Math.max(...scores);
      const weights = scores.map((z) => Math.exp(z - top));
      let left = random() * weights.reduce((a, b) => a + b, 0);
      let next = 0;
      while (next < m.vocab - 1 && left >= weights[next]!) left -= weights[next++]!;
      ids.push(next);
    }
    return ids;
  });
}
