import { createWriteStream } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';

export interface SyntheticSizes {
  layers: number;
  width: number;
  ff: number;
  vocab: number;
}

/**
 * Writes a Llama in bfloat16 whose weights are all small numbers, in constant memory, or `isHollow`: zeros that take
 * no room on the disk. @returns bytes of the file
 */
export async function writeSyntheticLlama(
  folder: string,
  sizes: SyntheticSizes,
  isHollow = false,
): Promise<number> {
  const { layers, width, ff, vocab } = sizes;
  await mkdir(folder, { recursive: true });
  const shapes: [string, number[]][] = [['model.embed_tokens.weight', [vocab, width]]];
  for (let layer = 0; layer < layers; layer++) {
    const add = (part: string, dims: number[]) => shapes.push([`model.layers.${layer}.${part}.weight`, dims]);
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) add(`self_attn.${part}`, [width, width]);
    add('mlp.gate_proj', [ff, width]);
    add('mlp.up_proj', [ff, width]);
    add('mlp.down_proj', [width, ff]);
    add('input_layernorm', [width]);
    add('post_attention_layernorm', [width]);
  }
  shapes.push(['model.norm.weight', [width]], ['lm_head.weight', [vocab, width]]);
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, shape] of shapes) {
    const start = end;
    end += 2 * shape.reduce((product, dim) => product * dim, 1);
    header[name] = { dtype: 'BF16', shape, data_offsets: [start, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(text.length / 8) * 8, ' ');
  text.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const out = createWriteStream(join(folder, 'model.safetensors'));
  out.write(length);
  out.write(padded);
  // 0x3c.. is about 0.01: finite whatever the low byte.
  const chunk = Buffer.alloc(2 ** 22, Buffer.from([0x11, 0x3c]));
  for (let done = 0; !isHollow && done < end; done += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, end - done));
    if (!out.write(part)) await new Promise<void>((resolve) => out.once('drain', () => resolve()));
  }
  out.end();
  await finished(out);
  await truncate(join(folder, 'model.safetensors'), 8 + padded.length + end);
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_act: 'silu',
    vocab_size: vocab,
    hidden_size: width,
    intermediate_size: ff,
    num_hidden_layers: layers,
    num_attention_heads: width / 32,
    num_key_value_heads: width / 32,
    head_dim: 32,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    rope_scaling: null,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  return 8 + padded.length + end;
}
