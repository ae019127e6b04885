import type { Engine, HostTensor } from '../../src/engine/index.js';
import { openWasm } from '../../src/engine/wasm.js';
import { parameterShapes } from '../../src/model/parameters.js';
import type { ModelShape } from '../../src/model/shape.js';
import { type ContextOptions, measureContext } from '../../src/sparsity/context.js';
import { openSession, type Session } from '../../src/sparsity/evaluate.js';
import { type MeasuredModel, nativeModel } from '../../src/sparsity/model.js';
import type { Windows } from '../../src/sparsity/windows.js';
import type { ReferenceModel } from './reference.js';

/** The engine's view of a reference model. */
export function shapeOf(m: ReferenceModel): ModelShape {
  return {
    layers: m.layers,
    width: m.width,
    ff: m.ff,
    heads: m.heads,
    kvHeads: m.heads,
    headDim: m.width / m.heads,
    vocabSize: m.vocab,
    activation: m.act,
    gated: m.gated,
    tieEmbeddings: false,
    ropeTheta: m.theta,
    normEpsilon: m.epsilon,
  };
}

export function measured(m: ReferenceModel): MeasuredModel {
  const shape = shapeOf(m);
  const shapes = parameterShapes(shape);
  return nativeModel(
    shape,
    inMemory(
      Object.entries(shapes).map(([name, dims]): [string, HostTensor] => [
        name,
        { dtype: 'float32', shape: dims, values: m.weights[name]! },
      ]),
    ),
  );
}

/** Tensors that are there already, as a model gives them. */
export const inMemory = (tensors: [string, HostTensor][]) =>
  async function* () {
    yield* tensors;
  };

export const windowsOf = (rows: number[][]): Windows => ({
  seqLen: rows[0]!.length - 1,
  count: rows.length,
  ids: Int32Array.from(rows.flat()),
});

let opened: Promise<Engine> | undefined;
export function testEngine(): Promise<Engine> {
  opened ??= openWasm({});
  return opened;
}

export async function sessionOf(m: ReferenceModel, batchWindows = 32, engine?: Engine): Promise<Session> {
  return openSession(engine ?? (await testEngine()), measured(m), { batchWindows });
}

export async function contextOf(
  m: ReferenceModel,
  rows: number[][],
  {
    batchWindows,
    engine,
    ...options
  }: Partial<ContextOptions> & { batchWindows?: number; engine?: Engine } = {},
) {
  const windows = windowsOf(rows);
  return measureContext(await sessionOf(m, batchWindows, engine), {
    windows,
    calibrationWindows: windows,
    gridWindows: windows,
    smallestBound: 0.003,
    tolerance: 1e-4,
    compat: false,
    ...options,
  });
}
