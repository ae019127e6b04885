/** The sizes of the training benchmarks: those of torch_model.py. */
const MODELS = {
  A: { width: 768, layers: 4, ff: 2048, vocabSize: 4096, heads: 12, rows: 32, seqLen: 512 },
  B: { width: 256, layers: 8, ff: 768, vocabSize: 4096, heads: 4, rows: 64, seqLen: 512 },
  C: { width: 768, layers: 16, ff: 1920, vocabSize: 4096, heads: 6, rows: 16, seqLen: 1024 },
  tiny: { width: 64, layers: 2, ff: 172, vocabSize: 512, heads: 4, rows: 16, seqLen: 64 },
};

/** One of the above, or a shape of the study such as `240x6x600`: width, layers, d_ff, heads of 48, 64 windows of 512. */
export function modelNamed(name) {
  const [width, layers, ff] = name.split('x').map(Number);
  if (!ff) return MODELS[name];
  return {
    width,
    layers,
    ff,
    heads: Math.round(width / 48),
    headDim: 48,
    vocabSize: 4096,
    rows: 64,
    seqLen: 512,
  };
}
