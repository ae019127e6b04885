import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { inputError } from '../errors.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import { writeFolderAtomic } from '../io/atomic.js';
import { printable } from '../io/printable.js';
import { type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import { packageRoot, packageVersion } from '../package-info.js';
import { weightsHash } from '../sparsity/load.js';
import { measurementOf, oneCheckpoint, settingLabel } from './checkpoint.js';
import { type DownProjections, readDownProjections } from './down-projections.js';

export const HOOK_FILE = 'src/downstream/sparse_hook.py';
const LARGEST_FLOAT32 = 3.4028234663852886e38;

export interface ExportResult {
  path: string;
  checkpoint: string;
  metric: string;
  setting: string;
  activationRatio: number;
  layers: number;
  /** Neurons a layer. */
  neurons: number;
  /** What a reader of the folder must know. */
  notes: string[];
}

/**
 * Writes a measurement's thresholds as ones on each neuron's h, with a hook that applies them in transformers.
 * @throws SparselawError (status 3) when the measurement is of other weights or of a metric without such thresholds
 */
export async function exportThresholds(checkpoint: string, from: string, out: string): Promise<ExportResult> {
  const target = await oneCheckpoint(checkpoint);
  const measurement = await measurementOf(from, target, await weightsHash(target));
  refuseGateMetrics(measurement, from);
  const down = await readDownProjections(target);
  const tensors = new Map<string, TensorToWrite>();
  for (const [layer, { module, norms }] of down.layers.entries()) {
    const data = neuronThresholds(measurement.layers[layer]!.threshold ?? 0, norms);
    tensors.set(module, { dtype: 'F32', shape: [data.length], data });
  }
  const notes = notesOf(measurement, down);
  await writeFolderAtomic(out, async (folder) => {
    await writeSafetensors(
      join(folder, 'thresholds.safetensors'),
      tensors,
      metadataOf(measurement, [...tensors.keys()]),
    );
    await copyFile(join(packageRoot(), HOOK_FILE), join(folder, basename(HOOK_FILE)));
    await writeFile(join(folder, 'README.md'), readme(measurement, down, notes));
  });
  return {
    path: out,
    checkpoint: target.path,
    metric: measurement.metric,
    setting: settingLabel(measurement),
    activationRatio: measurement.activationRatio,
    layers: down.layers.length,
    neurons: down.ff,
    notes,
  };
}

/**
 * Thresholds on |h_i| for a threshold ε on |h_i|·‖w_i‖ (Sparsing Law §1.2), in float32.
 * A neuron whose output vector is 0 contributes nothing, so any ε > 0 drops it; ε = 0 drops nothing.
 */
export function neuronThresholds(epsilon: number, norms: Float64Array): Float32Array {
  return Float32Array.from(norms, (norm) => (epsilon === 0 ? 0 : Math.min(epsilon / norm, LARGEST_FLOAT32)));
}

function refuseGateMetrics({ metric }: SparsityMeasurement, from: string): void {
  if (metric !== 'fat' && metric !== 'topk') return;
  const how = metric === 'fat' ? 'by the gate activation' : 'by rank within a token';
  throw inputError(`${printable(from)}: ${metric} drops neurons ${how}, not by a threshold on h.`, {
    code: 'no-thresholds',
    suggestions: ['Export a measurement of pplp, cett, global or zero.'],
  });
}

function notesOf(measurement: SparsityMeasurement, down: DownProjections): string[] {
  const notes: string[] = [];
  if (measurement.layers.every(({ threshold }) => threshold === undefined || threshold === 0)) {
    notes.push('All thresholds are 0: nothing but exact zeros is left out.');
  }
  if (measurement.protocol === 'paper') {
    notes.push(
      'Protocol paper finds thresholds for each batch: these are their means over the batches, so ratios differ a little.',
    );
  }
  if (measurement.status === 'at-bound') {
    notes.push('The search had no interior answer: the thresholds stand at the end of its range.');
  }
  if (!down.inTransformers) {
    notes.push(
      'transformers has no class for a gated dReLU model: the hook needs one of yours with modules of these names.',
    );
  }
  return notes;
}

const metadataOf = (m: SparsityMeasurement, modules: string[]): Record<string, string> => ({
  format: 'pt',
  // In the order of the layers; a reader may sort names as text.
  modules: modules.join(' '),
  rule: 'a neuron is dropped where abs(h) < threshold; h enters the named module',
  setting: settingLabel(m),
  definition: m.definition,
  activation_ratio: String(m.activationRatio),
  ppl_ratio: String(m.perplexity.ratio),
  checkpoint_sha256: m.checkpointSha256,
  settings_hash: m.settingsHash,
  sparselaw: packageVersion(),
});

function readme(m: SparsityMeasurement, down: DownProjections, notes: readonly string[]): string {
  const share = (value: number) => `${(100 * value).toFixed(2)} %`;
  const list = notes.map((note) => `- ${note}\n`).join('');
  return `# Activation thresholds of ${m.checkpoint}

${m.definition}

| | |
| --- | --- |
| setting | ${settingLabel(m)} |
| activation ratio | ${share(m.activationRatio)} ± ${share(m.activationRatioStandardError)} |
| perplexity, dense → sparse | ${m.perplexity.dense.toPrecision(6)} → ${m.perplexity.sparse.toPrecision(6)} |
| measured on | ${m.data.tokensEvaluated} tokens, windows of ${m.data.sequenceLength} |
| layers × neurons | ${down.layers.length} × ${down.ff} |
| weights (SHA-256) | ${m.checkpointSha256} |

\`thresholds.safetensors\` holds one float32 vector a layer, named after the down projection that it stands before
in transformers: neuron i is weak for a token where abs(h_i) < threshold_i, that is where abs(h_i)·‖w_i‖ < ε of the layer.

## In transformers

\`\`\`python
from transformers import AutoModelForCausalLM
from sparse_hook import SparseNeurons

model = AutoModelForCausalLM.from_pretrained("CHECKPOINT")
sparse = SparseNeurons("thresholds.safetensors").attach(model)
model(input_ids)
print(sparse.activation_ratio())
\`\`\`

Set \`sparse.positions = attention_mask\` before a padded batch, so that padding is not counted.

## In lm-evaluation-harness

\`\`\`python
import lm_eval
from lm_eval.models.huggingface import HFLM

SparseNeurons("thresholds.safetensors").attach(model)
lm_eval.simple_evaluate(HFLM(pretrained=model, tokenizer=tokenizer), tasks=["piqa"])
\`\`\`

## In TransformerLens

\`\`\`python
from transformer_lens.model_bridge import TransformerBridge

bridge = TransformerBridge.boot_transformers("CHECKPOINT")
bridge.run_with_hooks(tokens, fwd_hooks=SparseNeurons("thresholds.safetensors").transformer_lens_hooks())
\`\`\`

## Mind

- The hook masks after h is computed: it shows what the model does without weak neurons, not a speed-up.
- Thresholds belong to these weights and to text like the one they were measured on.
${list}`;
}
