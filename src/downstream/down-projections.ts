import { openForeign } from '../checkpoint/foreign.js';
import { readOwnShape } from '../checkpoint/hugging-face.js';
import { checkpointPaths } from '../files/run.js';
import { readFloatTensors, readSafetensorsHeader, type SafetensorsDtype } from '../io/safetensors.js';
import { DTYPE_BYTES } from '../io/safetensors-header.js';
import { ACTIVATIONS } from '../model/activations/index.js';
import { layerName } from '../model/parameters.js';
import { columnNorms } from '../sparsity/model.js';
import type { Target } from '../sparsity/targets.js';

/** The FFN of a checkpoint, as far as its down projections tell. */
export interface DownProjections {
  width: number;
  ff: number;
  gated: boolean;
  layers: {
    /** The module's name in transformers, e.g. `model.layers.0.mlp.down_proj`. */
    module: string;
    /** Euclidean norm of each neuron's output vector, [ff]. */
    norms: Float64Array;
  }[];
  /** Of a stored weight. */
  bytesPerWeight: number;
  /** Whether transformers has a class for the model. */
  inTransformers: boolean;
}

/** Reads one down projection after another, so that a large checkpoint needs the memory of one matrix. */
export async function readDownProjections(target: Target): Promise<DownProjections> {
  const foreign = target.kind === 'foreign' ? await openForeign(target.path) : undefined;
  const { model, config } = checkpointPaths(target.path);
  const shape = foreign?.spec ?? (await readOwnShape(config));
  const { layers: count, width, ff, gated } = shape;
  const name = (layer: number) => layerName(layer, 'mlp.down_proj');
  const layers: DownProjections['layers'] = [];
  for (let layer = 0; layer < count; layer++) {
    const stored = foreign ? foreign.nameOf(name(layer)) : name(layer);
    const values = foreign
      ? (await foreign.read(name(layer))).values
      : (await readFloatTensors(model, [name(layer)])).get(name(layer))!.data;
    layers.push({ module: stored.replace(/\.weight$/, ''), norms: columnNorms(values, width, ff) });
  }
  const dtype = foreign
    ? foreign.dtypeOf(name(0))
    : (await readSafetensorsHeader(model)).tensors.get(name(0))!.dtype;
  const { huggingFaceName, onUp } = ACTIVATIONS[shape.activation];
  return {
    width,
    ff,
    gated,
    layers,
    bytesPerWeight: DTYPE_BYTES[dtype as SafetensorsDtype],
    inTransformers: foreign !== undefined || huggingFaceName !== null || (!gated && onUp === true),
  };
}
