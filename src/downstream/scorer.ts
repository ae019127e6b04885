import type { Engine, Program } from '../engine/index.js';
import { disposeTree } from '../engine/tree.js';
import { interruptedError } from '../errors.js';
import type { LoadedModel } from '../sparsity/load.js';
import { batchTokens } from '../sparsity/prepare.js';
import type { ModelState } from '../sparsity/programs.js';
import type { Rule } from '../sparsity/rules.js';
import { type ScoreInput, type ScoreResult, scoreProgram } from './score-program.js';

/** Ids of which the last `answer` are predicted; the last is never read. */
export interface Sequence {
  ids: Int32Array;
  answer: number;
}

/** What was predicted of one sequence. */
export interface Score {
  /** Sum over the answer's tokens in nats. */
  logLikelihood: number;
  /** Whether each of them is the likeliest. */
  greedy: boolean;
  /** The likeliest token in the place of the answer's last. */
  last: number;
}

/** Which neurons are dropped. */
export interface Masking {
  rule: Rule;
  /** [layers]. */
  thresholds: readonly number[];
}

export interface Scored {
  /** In order of the sequences. */
  scores: Score[];
  /** Neurons kept over the tokens read, [layers]. */
  active: number[];
  tokens: number;
}

export interface Scorer {
  score(sequences: readonly Sequence[], masking: Masking): Promise<Scored>;
  dispose(): void;
}

export interface ScorerOptions {
  /** The model on the device; stays the caller's. */
  state: ModelState;
  /** Longest input. */
  maxLength: number;
  signal?: AbortSignal;
  onTokens?: (tokens: number) => void;
}

/** Lengths that programs are compiled for: powers of two and their halves again, so that padding is a third at most. */
function padded(length: number, loaded: LoadedModel, maxLength: number): number {
  let size = 16;
  while (size < length) size = size % 3 === 0 ? (size * 4) / 3 : (size * 3) / 2;
  const bounded = Math.min(size, maxLength);
  return loaded.mayPad(length, bounded) ? bounded : length;
}

const powerAbove = (value: number) => 2 ** Math.ceil(Math.log2(value));

interface Batch {
  /** Places of the sequences among all of them. */
  members: number[];
  /** Padded length and number of sequences, room for predictions. */
  length: number;
  size: number;
  rows: number;
}

/** Sequences of one padded length together, as many as a device likes; shapes repeat, so that programs are few. */
function batchesOf(
  sequences: readonly Sequence[],
  lengthOf: (sequence: Sequence) => number,
  tokensAtOnce: number,
): Batch[] {
  const byLength = new Map<number, number[]>();
  for (const [i, sequence] of sequences.entries()) {
    const length = lengthOf(sequence);
    const known = byLength.get(length);
    if (known) known.push(i);
    else byLength.set(length, [i]);
  }
  return [...byLength]
    .sort(([a], [b]) => a - b)
    .flatMap(([length, all]) => {
      const most = Math.max(1, Math.floor(tokensAtOnce / length));
      const size = Math.min(most, powerAbove(all.length));
      const longest = all.reduce((most, i) => Math.max(most, sequences[i]!.answer), 1);
      const rows = size * powerAbove(longest);
      return Array.from({ length: Math.ceil(all.length / size) }, (_, b) => ({
        members: all.slice(b * size, (b + 1) * size),
        length,
        size,
        rows,
      }));
    });
}

/** A model on a device that tells how likely texts are. */
export function openScorer(engine: Engine, loaded: LoadedModel, options: ScorerOptions): Scorer {
  const { model } = loaded;
  const { layers } = model;
  const state = options.state;
  const programs = new Map<string, Program<ModelState, ScoreInput, ScoreResult>>();
  const programFor = (rule: Rule, { length, size, rows }: Batch) => {
    const name = `score-${rule.id}-${size}x${length}-${rows}`;
    let program = programs.get(name);
    if (!program) {
      program = engine.compile(scoreProgram(model, rule), { name });
      programs.set(name, program);
    }
    return program;
  };

  async function run(batch: Batch, sequences: readonly Sequence[], { rule, thresholds }: Masking) {
    const { members, length, size, rows } = batch;
    const tokens = new Int32Array(size * length);
    const real = new Int32Array(size * length);
    const places = new Int32Array(rows);
    const targets = new Int32Array(rows);
    let next = 0;
    let read = 0;
    for (const [b, member] of members.entries()) {
      const { ids, answer } = sequences[member]!;
      const inputs = ids.length - 1;
      tokens.set(ids.subarray(0, -1), b * length);
      real.fill(1, b * length, b * length + inputs);
      read += inputs;
      for (let position = inputs - answer; position < inputs; position++) {
        places[next] = b * length + position;
        targets[next] = ids[position + 1]!;
        next++;
      }
    }
    const int = (values: Int32Array, shape: number[]) => engine.upload({ dtype: 'int32', shape, values });
    const input: ScoreInput = {
      tokens: int(tokens, [size, length]),
      real: int(real, [size * length, 1]),
      rows: int(places, [rows]),
      targets: int(targets, [rows]),
      thresholds: engine.upload({
        dtype: 'float32',
        shape: [layers, 1],
        values: Float32Array.from(thresholds),
      }),
    };
    try {
      const result = await programFor(rule, batch).run(state, input);
      try {
        const [losses, best, active] = await Promise.all([
          result.losses.data(),
          result.best.data(),
          result.active.data(),
        ]);
        return { losses, best, active, targets, read };
      } finally {
        disposeTree(result);
      }
    } finally {
      disposeTree(input);
    }
  }

  return {
    async score(sequences, masking) {
      const lengthOf = ({ ids }: Sequence) => padded(ids.length - 1, loaded, options.maxLength);
      const scores: Score[] = [];
      const active = new Array<number>(layers).fill(0);
      let tokens = 0;
      for (const batch of batchesOf(sequences, lengthOf, batchTokens(engine))) {
        if (options.signal?.aborted) {
          throw interruptedError('Stopped before the evaluation was complete; nothing was written.', {
            code: 'interrupted',
          });
        }
        const values = await run(batch, sequences, masking);
        let next = 0;
        for (const member of batch.members) {
          const { answer } = sequences[member]!;
          let logLikelihood = 0;
          let greedy = true;
          for (const end = next + answer; next < end; next++) {
            logLikelihood -= values.losses[next]!;
            greedy &&= values.best[next] === values.targets[next];
          }
          scores[member] = { logLikelihood, greedy, last: values.best[next - 1]! };
        }
        for (let layer = 0; layer < layers; layer++) active[layer]! += values.active[layer]!;
        tokens += values.read;
        options.onTokens?.(values.read);
      }
      return { scores, active, tokens };
    },
    dispose() {
      for (const program of programs.values()) program.dispose();
    },
  };
}
