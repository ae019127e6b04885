import { type Config, shapeOf } from '../config.js';
import { type FlopsPerToken, flopsPerToken, type ParameterCounts, parameterCounts } from '../model/shape.js';
import { checkpointSteps } from './checkpoint-schedule.js';
import { learningRateAt, phaseAt } from './schedule.js';

/** What a run will do and cost, known before it starts. */
export interface TrainingPlan {
  parameters: ParameterCounts;
  steps: number;
  tokens: number;
  tokensPerStep: number;
  /** Tokens per parameter outside embedding and head. */
  tokensPerParameter: number;
  flopsPerToken: FlopsPerToken;
  /** FLOPs of the whole run, matrices and attention. */
  flopsTotal: number;
  checkpoints: { step: number; tokens: number; learningRate: number; phase: string }[];
  disk: {
    /** Bytes of one checkpoint's weights. */
    weightsBytes: number;
    /** Bytes of one checkpoint's optimiser state. */
    stateBytes: number;
    /** All checkpoints, with the states that are kept. */
    totalBytes: number;
  };
}

export function planRun(config: Config): TrainingPlan {
  const shape = shapeOf(config);
  const parameters = parameterCounts(shape);
  const perToken = flopsPerToken(shape, config.seqLen);
  const { tokens, batchTokens } = config;
  const steps = checkpointSteps(config.checkpoints, config);
  const weightsBytes = 4 * parameters.total;
  // With μP the model file holds folded weights, and the trained ones lie beside the moments.
  const stateBytes = 4 * parameters.total * (shape.mup ? 3 : 2);
  return {
    parameters,
    steps: Math.round(tokens / batchTokens),
    tokens,
    tokensPerStep: batchTokens,
    tokensPerParameter: tokens / parameters.nonEmbedding,
    flopsPerToken: perToken,
    flopsTotal: perToken.matricesAndAttention * tokens,
    checkpoints: steps.map((step) => ({
      step,
      tokens: step * batchTokens,
      learningRate: step === 0 ? 0 : learningRateAt(config, step - 1),
      phase: phaseAt(config, step * batchTokens),
    })),
    disk: {
      weightsBytes,
      stateBytes,
      totalBytes: steps.length * weightsBytes + Math.min(steps.length, config.keepState) * stateBytes,
    },
  };
}
