import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { readTensors } from '../../src/io/safetensors.js';
import { checkShape, type ModelShape } from '../../src/model/shape.js';

export interface Golden {
  shape: ModelShape;
  optimiser: { beta1: number; beta2: number; epsilon: number; weightDecay: number; clip: number };
  learningRates: number[];
  /** [step][sequence][position], one longer than what the model reads. */
  tokens: number[][][];
  losses: number[];
  gradientNorms: number[];
  gradientNormsByName: Record<string, number>[];
  tensors: Map<string, { shape: number[]; data: Float32Array }>;
}

const PARITY = join(import.meta.dirname, '../../fixtures/parity');

const floats = async (path: string) =>
  (await readTensors(path)) as Map<string, { shape: number[]; data: Float32Array }>;

/** One case of fixtures/parity (see its README). */
export async function readGolden(name: string): Promise<Golden> {
  const golden = JSON.parse(readFileSync(join(PARITY, `${name}.json`), 'utf8')) as Golden;
  checkShape(golden.shape);
  return { ...golden, tensors: await floats(join(PARITY, `${name}.safetensors`)) };
}

/** The weights all cases begin with; a case takes those that its shape names. */
export const readInitial = () => floats(join(PARITY, 'initial.safetensors'));

/** Inputs [B, T] and targets [B·T] of one step. */
export function batchOf(
  golden: Golden,
  step: number,
): { inputs: Int32Array; targets: Int32Array; dims: [number, number] } {
  const rows = golden.tokens[step]!;
  return {
    inputs: Int32Array.from(rows.flatMap((row) => row.slice(0, -1))),
    targets: Int32Array.from(rows.flatMap((row) => row.slice(1))),
    dims: [rows.length, rows[0]!.length - 1],
  };
}

/** Largest absolute difference, relative to the largest absolute expected value; NaN counts as infinite. */
export function worstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let [worst, scale] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    worst = Math.max(worst, Number.isFinite(difference) ? difference : Infinity);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return scale === 0 ? worst : worst / scale;
}
