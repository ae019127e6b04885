/** Sizes of the demo, chosen so that the whole of it stays under five minutes on two CPU cores. */
export interface DemoPreset {
  vocabSize: number;
  /** Flags of `train` that both models share. */
  train: Record<string, string>;
  /** Tokens that each checkpoint is measured on. */
  measureTokens: string;
  /** Tokens that thresholds are searched on. */
  calibrationTokens: string;
}

/** Compiled programs: about 80 thousand tokens a second at this size. */
const XLA_PRESET: DemoPreset = {
  vocabSize: 512,
  train: {
    layers: '2',
    width: '64',
    ff: '160',
    heads: '2',
    'seq-len': '64',
    'batch-tokens': '1024',
    tokens: '2M',
    checkpoints: 'log:100k..2M:12',
    'learning-rate': '0.003',
    warmup: '50k',
    schedule: 'wsd',
    seed: '1',
    'validation-tokens': '32k',
  },
  measureTokens: '16k',
  calibrationTokens: '4k',
};

/** Op by op in WebAssembly: a tenth of the speed or less, so a smaller model, fewer tokens, fewer windows. */
const WASM_PRESET: DemoPreset = {
  vocabSize: 384,
  train: {
    ...XLA_PRESET.train,
    width: '32',
    ff: '80',
    'seq-len': '32',
    'batch-tokens': '512',
    tokens: '200k',
    checkpoints: 'log:10k..200k:12',
    warmup: '5k',
    'validation-tokens': '8k',
  },
  measureTokens: '2k',
  calibrationTokens: '512',
};

/** Seconds-long: what the tests run. */
const TINY_PRESET: DemoPreset = {
  vocabSize: 300,
  train: {
    ...WASM_PRESET.train,
    layers: '1',
    width: '16',
    ff: '40',
    'seq-len': '16',
    'batch-tokens': '128',
    tokens: '8k',
    checkpoints: 'log:1k..8k:7',
    warmup: '1k',
    'validation-tokens': '512',
  },
  measureTokens: '256',
  calibrationTokens: '128',
};

export const DEMO_PRESETS = { full: XLA_PRESET, small: WASM_PRESET, tiny: TINY_PRESET };
