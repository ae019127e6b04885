import { Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/index.js';
import { openSession } from '../../src/sparsity/evaluate.js';
import type { MeasuredModel } from '../../src/sparsity/model.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import type { Windows } from '../../src/sparsity/windows.js';
import { inMemory } from './harness.js';

const [LAYERS, BATCH] = [2, 4];

/**
 * An engine that computes nothing: its device takes one execution after the other and ends one whenever the host
 * waits for it. It counts how often it had nothing left to do, and the tensors that are alive.
 */
function countingEngine() {
  const seen = { ranDry: 0, executions: 0, live: 0, mostResults: 0 };
  const queued: Tensor[] = [];
  const tensor = (values: ArrayLike<number>, isResult: boolean) => {
    let isDisposed = false;
    seen.live++;
    const own: Tensor = Object.assign(Object.create(Tensor.prototype), {
      dispose: () => {
        if (isDisposed) throw new Error('disposed twice');
        isDisposed = true;
        seen.live--;
      },
      data: async () => {
        // All that was queued before it has ended by then.
        while (queued.includes(own)) queued.shift();
        if (isResult && queued.length === 0) seen.ranDry++;
        return values;
      },
    });
    return own;
  };
  let results = 0;
  const engine = {
    name: 'xla',
    device: 'cuda',
    devices: 1,
    upload: ({ values }: { values: ArrayLike<number> }) => tensor(values, false),
    compile: () => ({
      run: async () => {
        seen.executions++;
        results++;
        seen.mostResults = Math.max(seen.mostResults, results);
        const [loss, active] = [
          tensor(new Float32Array(BATCH).fill(1), true),
          tensor(new Int32Array(LAYERS * BATCH), true),
        ];
        const dispose = loss.dispose.bind(loss);
        loss.dispose = () => {
          results--;
          dispose();
        };
        // Both belong to one execution.
        queued.push(active, loss);
        return { active, loss };
      },
      dispose: () => {},
    }),
  } as unknown as Engine;
  return { engine, seen };
}

const model = {
  layers: LAYERS,
  ff: 8,
  vocabSize: 5,
  downProjections: ['down.0', 'down.1'],
  tensors: inMemory(
    ['down.0', 'down.1'].map((name) => [
      name,
      { dtype: 'float32', shape: [3, 8], values: new Float32Array(24) },
    ]),
  ),
} as unknown as MeasuredModel;

const windowsOf = (count: number): Windows => ({ seqLen: 6, count, ids: new Int32Array(count * 7) });

describe('a pass over the windows', () => {
  it('lets the device run dry once, at its end, and holds few results at a time however many windows there are', async () => {
    const most: number[] = [];
    for (const count of [BATCH, 12 * BATCH, 100 * BATCH - 1]) {
      const { engine, seen } = countingEngine();
      const session = await openSession(engine, model, { batchWindows: BATCH });
      const { loss, active } = await session.masked(outputNormRule, windowsOf(count), [0, 0]);
      expect(loss).toHaveLength(count);
      expect(active.map((row) => row.length)).toEqual([count, count]);
      expect(seen.executions).toBe(Math.ceil(count / BATCH));
      // Its two results are read together.
      expect(seen.ranDry).toBeLessThanOrEqual(2);
      most.push(seen.mostResults);
      session.dispose();
      expect(seen.live).toBe(0);
    }
    expect(most[2]).toBe(most[1]);
    expect(most[2]).toBeLessThanOrEqual(6);
  });
});
