import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { HostTensor } from '../engine/index.js';
import { inputError } from '../errors.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { type FloatReading, readFloatTensors, readSafetensorsHeader } from '../io/safetensors.js';
import { familyTensors, readFamily, takeTensor } from '../model/families/index.js';

/** Files of weights in a folder: one, or the shards that the index lists. */
export async function weightFiles(folder: string): Promise<string[]> {
  const index = join(folder, 'model.safetensors.index.json');
  if (!existsSync(index)) return [join(folder, 'model.safetensors')];
  const schema = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+$/)) });
  const { weight_map: map } = await readJson(index, schema);
  const files = [...new Set(Object.values(map))].sort().map((name) => join(folder, name));
  for (const file of files) {
    if (!existsSync(file)) {
      throw inputError(`${printable(file)} is missing: model.safetensors.index.json lists it.`, {
        code: 'missing-shard',
        suggestions: ['Download the whole checkpoint.'],
      });
    }
  }
  return files;
}

/** A foreign folder opened: what the model is, and its tensors by our names, read one at a time. */
export async function openForeign(folder: string) {
  const configPath = join(folder, 'config.json');
  const config = await readJson(configPath, z.looseObject({}));
  const { spec, locate, source: nameOf } = readFamily(config, configPath);
  const entries = new Map<string, { file: string; dtype: string }>();
  for (const file of await weightFiles(folder)) {
    for (const [name, { dtype }] of (await readSafetensorsHeader(file)).tensors) {
      entries.set(name, { file, dtype });
    }
  }
  const sources = locate(entries.keys());
  const shapes = familyTensors(spec);
  const read = async (name: string, room?: FloatReading['room']): Promise<HostTensor> => {
    const source = sources.get(name)!;
    const { file } = entries.get(source.name)!;
    const reading = { room, onPart: finiteOnly(file) };
    const stored = (await readFloatTensors(file, [source.name], reading)).get(source.name)!;
    const { shape, data } = takeTensor(source, stored);
    if (shape.join() !== shapes[name]!.join()) {
      throw inputError(
        `${printable(file)}: tensor ${source.name} gives ${name} the shape [${shape}], not [${shapes[name]}].`,
        { code: 'bad-tensor', suggestions: ['Check that config.json belongs to the weights.'] },
      );
    }
    return { dtype: 'float32', shape, values: data };
  };
  return {
    config,
    spec,
    /** Shapes of its tensors by our names. */
    shapes,
    /** @param room where to, see `FloatReading` */
    read,
    /** Name of the tensor in transformers' class. */
    nameOf: (name: string) => nameOf(name).name,
    /** As stored, e.g. `BF16`. */
    dtypeOf: (name: string) => entries.get(sources.get(name)!.name)!.dtype,
  };
}

/** Refuses NaN and infinity as soon as they are read. @throws SparselawError (status 3) naming file, tensor and element */
export const finiteOnly =
  (file: string): NonNullable<FloatReading['onPart']> =>
  (name, part, first) => {
    if (isFinitePart(part)) return;
    const bad = part.findIndex((value) => !Number.isFinite(value));
    throw inputError(
      `${printable(file)}: tensor ${printable(name)} holds ${part[bad]} at element ${first + bad}.`,
      {
        code: 'non-finite-weights',
        suggestions: ['The run diverged or the file is damaged: measure an earlier checkpoint.'],
      },
    );
  };

/**
 * Whether no exponent has all of its bits set: adding one to it then never reaches the sign. Four values at a time and
 * no way out before the end, which takes half as long as asking for each.
 */
function isFinitePart(values: Float32Array): boolean {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const rest = words.length % 4;
  let signs = 0;
  for (let i = 0; i < rest; i++) signs |= (words[i]! & EXPONENT) + ONE;
  for (let i = rest; i < words.length; i += 4) {
    signs |=
      ((words[i]! & EXPONENT) + ONE) |
      ((words[i + 1]! & EXPONENT) + ONE) |
      ((words[i + 2]! & EXPONENT) + ONE) |
      ((words[i + 3]! & EXPONENT) + ONE);
  }
  return signs >= 0;
}

/** A float32's exponent, and the lowest bit of it. */
const EXPONENT = 0x7f800000;
const ONE = 0x00800000;
