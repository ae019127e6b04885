import type { Config } from '../config.js';
import { findPlugin, type PluginLocation } from '../engine/install/index.js';
import { openXlaWith } from '../engine/xla/index.js';
import type { KernelChoice, KernelKind } from '../engine/xla/kernel-choice.js';
import { rightKinds } from '../engine/xla/kernel-probe.js';
import { type KernelUse, writeKernelTable } from '../engine/xla/kernel-table.js';
import { searchCuts, type Trial, type Tuned } from '../engine/xla/tune.js';
import { engineError, interruptedError } from '../errors.js';
import { openTrainingData } from './data.js';
import { rateOf } from './measure-rate.js';
import { freshState } from './train.js';

export interface TunedKernels extends Tuned {
  readonly device: string;
  /** The table that training reads from now on. */
  readonly path: string;
}

export interface TuneOptions {
  /** How long each form of the step is measured. */
  readonly seconds: number;
  readonly onTrial?: (trial: Trial) => void;
  readonly signal?: AbortSignal;
}

/**
 * Measures a run's training step with and without each kernel of our own, and keeps which of them pay for its shapes
 * on this GPU.
 * @throws SparselawError (status 4) where the plugin takes no such kernels
 */
export async function tuneKernels(config: Config, options: TuneOptions): Promise<TunedKernels> {
  const plugin = await findPlugin('cuda');
  const right = await rightKinds(plugin);
  if (right.length === 0) {
    throw engineError(`The plugin ${plugin.package} ${plugin.version} takes no kernels of our own.`, {
      code: 'no-kernels',
      suggestions: [
        'Nothing is lost: XLA has a form of its own for all of them.',
        'Unset SPARSELAW_KERNELS if it is 0.',
      ],
    });
  }
  return tuneOn(plugin, right, config, options);
}

const stopped = () => interruptedError('Stopped; the table is as it was.', { code: 'interrupted' });

async function tuneOn(
  plugin: PluginLocation,
  right: readonly KernelKind[],
  config: Config,
  { seconds, onTrial, signal }: TuneOptions,
): Promise<TunedKernels> {
  const uses = new Map<string, KernelUse>();
  let current: KernelChoice = () => undefined;
  const data = await openTrainingData(config);
  try {
    const engine = await openXlaWith(plugin, {
      ...{ device: 'cuda', precision: 'bfloat16' },
      // Programs ask while they are compiled, one after the other.
      kernels: (kind, shape) => {
        if (!right.includes(kind)) return undefined;
        uses.set(`${kind} ${shape.join('x')}`, { kind, shape });
        return current(kind, shape);
      },
    });
    try {
      // One draw for all forms: a large model's takes the host longer than its steps.
      const state = freshState(config);
      const time = async (choose: KernelChoice): Promise<number> => {
        if (signal?.aborted) throw stopped();
        current = choose;
        const { tokensPerSecond } = await rateOf({ engine, config, data, state, seconds });
        return (config.batchTokens / tokensPerSecond) * 1000;
      };
      const tuned = await searchCuts(time, onTrial);
      if (signal?.aborted) throw stopped();
      const device = engine.deviceDescription;
      return { ...tuned, device, path: await writeKernelTable(plugin, device, [...uses.values()], tuned) };
    } finally {
      await engine.close();
    }
  } finally {
    data.close();
  }
}
