import type { Tensor } from '@tensorflow/tfjs-core';
import type { Engine, Program } from '../engine/index.js';
import { disposeTree } from '../engine/tree.js';
import { interruptedError } from '../errors.js';
import { type CensusInput, type CensusResult, censusProgram, chunkSizes } from './census-program.js';
import { columnNorms, type MeasuredModel } from './model.js';
import {
  type DenseResult,
  denseProgram,
  type MaskedResult,
  type ModelState,
  maskedProgram,
  type RangeResult,
  rangeProgram,
  type ScanResult,
  scanProgram,
  type ThresholdInput,
} from './programs.js';
import type { Rule } from './rules.js';
import type { Windows } from './windows.js';

/** Values per window of a masked pass. */
export interface MaskedPass {
  /** [windows], mean loss of each in nats. */
  loss: Float64Array;
  /** [layers][windows], neurons kept and not exactly zero. */
  active: Float64Array[];
}

/** Values of the dense activations, [layers][thresholds][windows]. */
export interface DensePass {
  cett: Float64Array[][];
  active: Float64Array[][];
}

/** Means over all tokens of the dense activations, [layers][thresholds]. */
export interface ScanPass {
  cett: number[][];
  /** What CETT can at most be: the dropped output norms add up, as if they all pointed one way. */
  most: number[][];
}

export interface RangePass {
  /** Smallest positive and largest output norm a layer, [layers]; `smallest` is 0 where none is positive. */
  smallest: number[];
  largest: number[];
  /** Mean over tokens of 1/‖FFN(x)‖, [layers]. */
  inverseNorm: number[];
  /** [layers][windows] counts of values that are not exactly zero. */
  gateActive: Float64Array[];
  active: Float64Array[];
}

/** Compiled programs by name; whoever makes the map disposes them with `disposePrograms`. */
export type ProgramCache = Map<string, { dispose(): void }>;

export function disposePrograms(programs: ProgramCache): void {
  for (const program of programs.values()) program.dispose();
  programs.clear();
}

/** Who was active where, summed while the windows pass by. */
export interface CensusPass {
  /** [layers][ff], tokens for which a neuron is kept and not exactly zero. */
  neurons: Float64Array[];
  /** [seqLen], active neurons of all layers at each position of a window, summed over windows. */
  positions: Float64Array;
  /** The same by id of the input token, and how often each was an input, [vocabSize]. */
  vocabulary: { active: Float64Array; count: Float64Array };
  /** By size of chunk: [layers] neurons active for at least one of its tokens, summed over all chunks. */
  chunks: { size: number; count: number; active: number[] }[];
}

export interface SessionOptions {
  /** Windows a program takes at once, a multiple of the engine's devices, which share them. */
  batchWindows: number;
  /** Programs of an earlier session of a model of the same structure, to be used and added to. */
  programs?: { cache: ProgramCache; structure: string };
  signal?: AbortSignal;
  /** Called with the predictions made since the last call, whatever the pass. */
  onTokens?: (tokens: number) => void;
}

/** A model on a device, and the passes over windows that measuring is made of. */
export interface Session {
  readonly model: MeasuredModel;
  /** Windows that a program takes at once, at most. */
  readonly batchWindows: number;
  /** Passes run so far, in units of predictions: what a search costs. */
  readonly spent: { masked: number; dense: number };
  /** Every layer l masked by `rule` at thresholds[l]. */
  masked(rule: Rule, windows: Windows, thresholds: readonly number[]): Promise<MaskedPass>;
  /** thresholds [layers][K], the same K in every layer; a program is compiled for each K. */
  dense(rule: Rule, windows: Windows, thresholds: readonly (readonly number[])[]): Promise<DensePass>;
  /** CETT where the output norm is below thresholds [layers][K]; a program is compiled for each K. */
  scan(windows: Windows, thresholds: readonly (readonly number[])[]): Promise<ScanPass>;
  range(windows: Windows): Promise<RangePass>;
  /** Who is active where, under a rule at thresholds[l]. */
  census(rule: Rule, windows: Windows, thresholds: readonly number[]): Promise<CensusPass>;
  dispose(): void;
}

/** Batches whose results are not yet read: enough to keep a device busy, few enough to stop soon after Ctrl-C. */
const IN_FLIGHT = 4;

/**
 * Puts the parameters and the column norms (of the stored weights, in float64) on the engine's device, one tensor
 * after another; the caller disposes them.
 */
export async function uploadModel(engine: Engine, model: MeasuredModel): Promise<ModelState> {
  const { layers, ff } = model;
  const norms = new Float32Array(layers * ff);
  const parameters: Record<string, Tensor> = {};
  try {
    for await (const [name, tensor] of model.tensors()) {
      parameters[name] = engine.upload(tensor);
      const layer = model.downProjections.indexOf(name);
      if (layer >= 0) norms.set(columnNorms(tensor.values, tensor.shape[0]!, ff), layer * ff);
    }
  } catch (error) {
    disposeTree(parameters);
    throw error;
  }
  return { parameters, norms: engine.upload({ dtype: 'float32', shape: [layers, ff], values: norms }) };
}

/** A model on the engine's device. */
export async function openSession(
  engine: Engine,
  model: MeasuredModel,
  options: SessionOptions,
): Promise<Session> {
  const { layers, ff } = model;
  const state = await uploadModel(engine, model);
  const spent = { masked: 0, dense: 0 };
  const programs: ProgramCache = options.programs?.cache ?? new Map();
  const structure = options.programs?.structure ?? '';
  const uploads = new Map<Windows, Tensor[]>();

  /** Windows a program takes at once: a few windows are not padded to a batch of many. Devices share them equally. */
  const batchOf = (windows: Windows) =>
    Math.min(options.batchWindows, Math.ceil(windows.count / engine.devices) * engine.devices);

  /** The program of a name for the batches of some windows. */
  const compiled = <Input extends Record<string, Tensor>, Result extends Record<string, Tensor>>(
    windows: Windows,
    name: string,
    fn: (state: ModelState, input: Input) => Result,
  ): Program<ModelState, Input, Result> => {
    const key = `${structure} ${batchOf(windows)} ${name}-${windows.seqLen}`;
    if (!programs.has(key)) programs.set(key, engine.compile(fn, { name, splitResults: () => -1 }));
    return programs.get(key) as Program<ModelState, Input, Result>;
  };

  /** The batches of a set of windows on the device; the last one is padded with copies of the first window. */
  const batchesOf = (windows: Windows): Tensor[] => {
    const known = uploads.get(windows);
    if (known) return known;
    const B = batchOf(windows);
    const width = windows.seqLen + 1;
    const tensors: Tensor[] = [];
    for (let start = 0; start < windows.count; start += B) {
      const values = new Int32Array(B * width);
      for (let b = 0; b < B; b++) {
        const row = start + b < windows.count ? start + b : 0;
        values.set(windows.ids.subarray(row * width, (row + 1) * width), b * width);
      }
      tensors.push(engine.upload({ dtype: 'int32', shape: [B, width], values, split: 0 }));
    }
    uploads.set(windows, tensors);
    return tensors;
  };

  /** Runs one program over all batches; `take` receives each result's values for the batch's real windows. */
  async function pass<Result extends Record<string, Tensor>>(
    windows: Windows,
    run: (tokens: Tensor, real: number) => Promise<Result>,
    take: (values: Record<keyof Result, ArrayLike<number>>, first: number, real: number) => void,
  ): Promise<void> {
    const B = batchOf(windows);
    const pending: { first: number; result: Result }[] = [];
    const settle = async () => {
      const { first, result } = pending.shift()!;
      const real = Math.min(B, windows.count - first);
      const names = Object.keys(result) as (keyof Result)[];
      try {
        const values = await Promise.all(names.map((name) => result[name]!.data()));
        const record = {} as Record<keyof Result, ArrayLike<number>>;
        names.forEach((name, i) => {
          record[name] = values[i]!;
        });
        take(record, first, real);
      } finally {
        disposeTree(result);
      }
      options.onTokens?.(real * windows.seqLen);
    };
    try {
      const batches = batchesOf(windows);
      for (const [i, tokens] of batches.entries()) {
        if (options.signal?.aborted) {
          throw interruptedError('Stopped before the measurement was complete.', {
            code: 'interrupted',
            suggestions: ['Run the same command again: finished measurements are kept and reused.'],
          });
        }
        const real = Math.min(B, windows.count - i * B);
        pending.push({ first: i * B, result: await run(tokens, real) });
        if (pending.length > IN_FLIGHT) await settle();
      }
      while (pending.length > 0) await settle();
    } finally {
      for (const { result } of pending) disposeTree(result);
    }
  }

  /** Copies the real windows of [rows, batch] values into rows of a whole pass. */
  const fill = (target: Float64Array[], values: ArrayLike<number>, first: number, real: number) => {
    const batch = values.length / target.length;
    target.forEach((row, r) => {
      for (let b = 0; b < real; b++) row[first + b] = values[r * batch + b]!;
    });
  };

  const uploadThresholds = (thresholds: readonly (readonly number[])[]) => {
    const K = thresholds[0]!.length;
    return engine.upload({
      dtype: 'float32',
      shape: [layers, K],
      values: Float32Array.from(thresholds.flat()),
    });
  };

  /** A pass whose program gives, for each of its results, so many rows with one value a window. */
  const rowsOf = async <Result extends Record<string, Tensor>>(
    windows: Windows,
    program: Program<ModelState, Record<string, Tensor>, Result>,
    rows: Record<keyof Result, number>,
    inputs: Record<string, Tensor> = {},
  ): Promise<Record<keyof Result, Float64Array[]>> => {
    const names = Object.keys(rows) as (keyof Result)[];
    const out = Object.fromEntries(
      names.map((name) => [name, Array.from({ length: rows[name] }, () => new Float64Array(windows.count))]),
    ) as Record<keyof Result, Float64Array[]>;
    try {
      await pass(
        windows,
        (tokens) => program.run(state, { tokens, ...inputs }),
        (values, first, real) => {
          for (const name of names) fill(out[name], values[name], first, real);
        },
      );
    } finally {
      disposeTree(inputs);
    }
    return out;
  };
  /** Rows [layers · K] → [layers][K]. */
  const byLayer = (rows: Float64Array[]): Float64Array[][] =>
    Array.from({ length: layers }, (_, l) => {
      const K = rows.length / layers;
      return rows.slice(l * K, (l + 1) * K);
    });

  return {
    model,
    batchWindows: options.batchWindows,
    spent,

    async masked(rule, windows, thresholds) {
      const program = compiled<ThresholdInput, MaskedResult>(
        windows,
        `masked-${rule.id}`,
        maskedProgram(model, rule),
      );
      const input = { thresholds: uploadThresholds(thresholds.map((value) => [value])) };
      const { loss, active } = await rowsOf(windows, program, { loss: 1, active: layers }, input);
      spent.masked += windows.count * windows.seqLen;
      return { loss: loss[0]!, active };
    },

    async dense(rule, windows, thresholds) {
      const K = thresholds[0]!.length;
      const program = compiled<ThresholdInput, DenseResult>(
        windows,
        `dense-${rule.id}-${K}`,
        denseProgram(model, rule),
      );
      const input = { thresholds: uploadThresholds(thresholds) };
      const rows = await rowsOf(windows, program, { cett: layers * K, active: layers * K }, input);
      spent.dense += windows.count * windows.seqLen;
      return { cett: byLayer(rows.cett), active: byLayer(rows.active) };
    },

    async scan(windows, thresholds) {
      const K = thresholds[0]!.length;
      const program = compiled<ThresholdInput, ScanResult>(windows, `scan-${K}`, scanProgram(model));
      const input = { thresholds: uploadThresholds(thresholds) };
      const rows = await rowsOf(windows, program, { cett: layers * K, most: layers * K }, input);
      spent.dense += windows.count * windows.seqLen;
      const means = (all: Float64Array[]) => byLayer(all).map((layer) => layer.map(average));
      return { cett: means(rows.cett), most: means(rows.most) };
    },

    async range(windows) {
      const program = compiled<{ tokens: Tensor }, RangeResult>(windows, `range`, rangeProgram(model));
      const { smallest, largest, inverseNorm, gateActive, active } = await rowsOf(windows, program, {
        smallest: layers,
        largest: layers,
        inverseNorm: layers,
        gateActive: layers,
        active: layers,
      });
      spent.dense += windows.count * windows.seqLen;
      const tops = largest.map((row) => row.reduce((a, b) => Math.max(a, b), 0));
      return {
        smallest: smallest.map((row, l) => (tops[l]! > 0 ? row.reduce((a, b) => Math.min(a, b)) : 0)),
        largest: tops,
        inverseNorm: inverseNorm.map(average),
        gateActive,
        active,
      };
    },

    async census(rule, windows, thresholds) {
      const B = batchOf(windows);
      const sizes = chunkSizes(windows.seqLen);
      const program = compiled<CensusInput, CensusResult>(
        windows,
        `census-${rule.id}`,
        censusProgram(model, rule, sizes),
      );
      const input = uploadThresholds(thresholds.map((value) => [value]));
      const weights = new Map<number, Tensor>();
      const weightsOf = (real: number) => {
        let known = weights.get(real);
        if (!known) {
          const values = Int32Array.from({ length: B }, (_, b) => (b < real ? 1 : 0));
          known = engine.upload({ dtype: 'int32', shape: [B], values, split: 0 });
          weights.set(real, known);
        }
        return known;
      };
      const { seqLen } = windows;
      const neurons = Array.from({ length: layers }, () => new Float64Array(ff));
      const positions = new Float64Array(seqLen);
      const vocabulary = {
        active: new Float64Array(model.vocabSize),
        count: new Float64Array(model.vocabSize),
      };
      const union = new Float64Array(layers * sizes.length);
      const take = (values: Record<keyof CensusResult, ArrayLike<number>>, first: number, real: number) => {
        const parts = values.neurons.length / (layers * ff);
        neurons.forEach((row, l) => {
          for (let i = 0; i < ff; i++) {
            // Each device counted in its own windows.
            for (let d = 0; d < parts; d++) row[i]! += values.neurons[(l * ff + i) * parts + d]!;
          }
        });
        for (let b = 0; b < real; b++) {
          for (let t = 0; t < seqLen; t++) {
            const active = values.perToken[t * B + b]!;
            const id = windows.ids[(first + b) * (seqLen + 1) + t]!;
            positions[t]! += active;
            vocabulary.active[id]! += active;
            vocabulary.count[id]! += 1;
          }
        }
        for (let i = 0; i < union.length; i++) {
          for (let b = 0; b < real; b++) union[i]! += values.chunks[i * B + b]!;
        }
      };
      try {
        await pass(
          windows,
          (tokens, real) => program.run(state, { tokens, thresholds: input, weights: weightsOf(real) }),
          take,
        );
      } finally {
        disposeTree([input, ...weights.values()]);
      }
      spent.masked += windows.count * seqLen;
      const chunks = sizes.map((size, c) => ({
        size,
        count: windows.count * Math.floor(seqLen / size),
        active: Array.from({ length: layers }, (_, l) => union[l * sizes.length + c]!),
      }));
      return { neurons, positions, vocabulary, chunks };
    },

    dispose() {
      if (!options.programs) disposePrograms(programs);
      for (const tensors of uploads.values()) disposeTree(tensors);
      disposeTree(state);
    },
  };
}

/** Sum in order of the windows, in double. */
export const total = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
};

/** Mean in double; every window holds as many predictions, so it is the mean over predictions. */
export const average = (values: ArrayLike<number>): number => total(values) / values.length;
