import type { Config } from '../config.js';

/** What a learning rate depends on; lengths in tokens. */
export type ScheduleConfig = Pick<
  Config,
  | 'schedule'
  | 'tokens'
  | 'batchTokens'
  | 'learningRate'
  | 'warmup'
  | 'decay'
  | 'decayShape'
  | 'decayHalfLife'
  | 'learningRateFloor'
>;

export type Phase = 'warmup' | 'stable' | 'decay';

/** The phase of the step that ends at `tokens`; 0, the random weights, is warm-up. Cosine decays once warm. */
export function phaseAt(config: ScheduleConfig, tokens: number): Phase {
  if (tokens <= config.warmup) return 'warmup';
  if (config.schedule === 'cosine') return 'decay';
  return config.schedule === 'wsd' && tokens > config.tokens - config.decay ? 'decay' : 'stable';
}

/**
 * The peak group's learning rate of a step, counted from 0. Warm-up is linear from 0 and reaches the peak with the
 * step that ends it, so that step 0 moves the weights already.
 * - `wsd`: constant, then over the last `decay` tokens linear to the floor, or halving every `decayHalfLife`
 *   tokens (the paper's, Sparsing Law §3.2: LR · 0.5^((t − start)/H))
 * - `cosine`: half a period from the end of warm-up to the floor at the run's end
 * - `constant`
 */
export function learningRateAt(config: ScheduleConfig, step: number): number {
  const { learningRate: peak, learningRateFloor: floor, warmup, decay } = config;
  const tokens = (step + 1) * config.batchTokens;
  switch (phaseAt(config, tokens)) {
    case 'warmup':
      return (peak * tokens) / warmup;
    case 'stable':
      return peak;
    case 'decay': {
      if (config.schedule === 'cosine') {
        const done = (tokens - warmup) / (config.tokens - warmup);
        return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * done)));
      }
      const into = tokens - (config.tokens - decay);
      return config.decayShape === 'halving'
        ? peak * 0.5 ** (into / config.decayHalfLife)
        : peak * (1 - (1 - floor) * (into / decay));
    }
  }
}
