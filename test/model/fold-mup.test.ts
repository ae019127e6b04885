import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../src/engine/cpu.js';
import { foldMup, type HostParameters } from '../../src/model/fold-mup.js';
import { parameterShapes } from '../../src/model/parameters.js';
import type { ModelShape } from '../../src/model/shape.js';
import { forward } from '../../src/model/transformer.js';
import { readGolden, readInitial, worstDifference } from './golden.js';

beforeAll(async () => void (await openCpu({})));

describe('folding μP scales into the weights', () => {
  it.each([true, false])('keeps the logits (tied head: %s)', async (tieEmbeddings) => {
    const golden = await readGolden('mup-tied');
    const shape: ModelShape = { ...golden.shape, tieEmbeddings };
    const initial = await readInitial();
    const parameters = Object.fromEntries(
      Object.keys(parameterShapes(shape)).map((name) => [name, initial.get(name)!.data]),
    );
    const folded = foldMup(shape, parameters);
    expect(folded.shape).not.toHaveProperty('mup');
    expect(folded.shape.tieEmbeddings).toBe(tieEmbeddings);
    expect(Object.keys(folded.parameters)).toEqual(Object.keys(parameters));
    const tokens = tf.tensor2d([golden.tokens[0]![0]!.slice(1)], undefined, 'int32');
    const logits = (s: ModelShape, values: HostParameters) => {
      const tensors = Object.entries(parameterShapes(s)).map(([n, dims]) => [n, tf.tensor(values[n]!, dims)]);
      return forward(s, Object.fromEntries(tensors), tokens).dataSync();
    };
    const expected = logits(shape, parameters);
    expect(worstDifference(logits(folded.shape, folded.parameters), expected)).toBeLessThan(2e-6);
    expect(worstDifference(logits(folded.shape, parameters), expected)).toBeGreaterThan(0.1);
  });

  it('leaves a model without them alone', () => {
    const shape = { layers: 1 } as ModelShape;
    const parameters = { 'model.norm.weight': Float32Array.of(1) };
    expect(foldMup(shape, parameters).parameters).toBe(parameters);
  });
});
