import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTensors } from '../../../src/io/safetensors.js';
import { familyTensors, readFamily, takeTensor } from '../../../src/model/families/index.js';

export const FIXTURES = join(import.meta.dirname, '../../../fixtures/parity/families');

export type Config = Record<string, unknown>;

export const configOf = (name: string) =>
  JSON.parse(readFileSync(join(FIXTURES, name, 'config.json'), 'utf8')) as Config;

/** Weights of a case by our names. RoPE's variants share the Llama's file. */
export async function loadCase(name: string, config: Config, rename = (stored: string) => stored) {
  const file = join(FIXTURES, name.startsWith('llama') ? 'llama' : name, 'model.safetensors');
  const stored = new Map([...(await readTensors(file))].map(([key, tensor]) => [rename(key), tensor]));
  const { spec, locate } = readFamily(config, 'config.json');
  const weights = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const [ours, source] of locate(stored.keys())) {
    const tensor = stored.get(source.name)! as { shape: number[]; data: Float32Array };
    weights.set(ours, takeTensor(source, tensor));
  }
  return { spec, shapes: familyTensors(spec), weights };
}

/** What transformers gave. */
export async function expectedOf(name: string) {
  const expected = await readTensors(join(FIXTURES, name, 'expected.safetensors'));
  const tokens = expected.get('tokens')!;
  return {
    tokens: { shape: tokens.shape, data: tokens.data as Int32Array },
    logits: expected.get('logits')!.data as Float32Array,
  };
}
