import { concat, reshape, split, stack, type Tensor, unstack } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/index.js';
import type { HostParameters } from '../model/fold-mup.js';
import type { AdamwOptions, TensorMap } from './adamw.js';

/**
 * How AdamW's state is cut into tensors on the device. Files and host memory always have one array a parameter;
 * AdamW is element-wise, so it does the same arithmetic in every layout.
 */
export interface StateLayout {
  /** AdamW's options by the names of this layout's tensors. */
  readonly optimiser: AdamwOptions;
  /** @param splitOf the axis along which the engine's devices share a tensor; by default each has the whole */
  upload(engine: Engine, values: HostParameters, splitOf?: SplitOf): TensorMap;
  download(tensors: TensorMap): Promise<HostParameters>;
  /** Inside a program: the model's parameters by name. */
  parametersOf(tensors: TensorMap): TensorMap;
  /** Inside a program: gradients by the parameters' names → laid out like the state. */
  layOut(gradients: TensorMap): TensorMap;
}

/** The axis along which the devices share a tensor of the state, by its name; undefined where each has the whole. */
export type SplitOf = (name: string) => number | undefined;

/** Every parameter's shape by its name. */
type Shapes = Readonly<Record<string, readonly number[]>>;

/** One tensor a parameter: a compiled program updates each where it is. */
export const separateLayout = (shapes: Shapes, optimiser: AdamwOptions): StateLayout => ({
  optimiser,
  upload: (engine, values, splitOf) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => {
        const split = splitOf?.(name);
        const whole = { dtype: 'float32', shape, values: values[name]! } as const;
        return [name, engine.upload(split === undefined ? whole : { ...whole, split })];
      }),
    ),
  download: async (tensors) => {
    const values: Record<string, Float32Array> = {};
    for (const name of Object.keys(shapes)) values[name] = (await tensors[name]!.data()) as Float32Array;
    return values;
  },
  parametersOf: (tensors) => tensors,
  layOut: (gradients) => gradients,
});

interface Part {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
}

/** Parameters that AdamW treats alike lie one after the other in one tensor, [rows, width]. */
interface Group {
  readonly parts: Part[];
  readonly decays: boolean;
  readonly factor: number;
}

/**
 * The last axis that most parts have, where it divides them all: those lie there as they are, without an op to give
 * them their shape or take it away.
 */
function widthOf(parts: readonly Part[]): number {
  const lasts = parts.map(({ shape }) => shape.at(-1) ?? 1);
  const count = (width: number) => lasts.filter((last) => last === width).length;
  const commonest = lasts.reduce((a, b) => (count(b) > count(a) ? b : a));
  return parts.every(({ size }) => size % commonest === 0) ? commonest : 1;
}

/** Vectors of one length: each is a row. */
const areRows = (parts: readonly Part[]): boolean =>
  parts.every(({ shape, size }) => shape.length === 1 && size === parts[0]!.size);

/**
 * One flat tensor for all parameters with the same decay and learning rate factor. Where every op costs host time
 * this saves about a dozen ops a parameter and step, for one copy of the parameters and one of the gradient.
 */
export function flatLayout(shapes: Shapes, optimiser: AdamwOptions): StateLayout {
  const groups = new Map<string, Group>();
  for (const [name, shape] of Object.entries(shapes)) {
    const [decays, factor] = [optimiser.decays(name), optimiser.learningRateFactor(name)];
    const key = `${decays ? 'decays' : 'kept'} × ${factor}`;
    if (!groups.has(key)) groups.set(key, { parts: [], decays, factor });
    const size = shape.reduce((product, n) => product * n, 1);
    groups.get(key)!.parts.push({ name, shape, size });
  }
  const forEach = <T>(map: (group: Group, key: string) => T): Record<string, T> =>
    Object.fromEntries([...groups].map(([key, group]) => [key, map(group, key)]));
  return {
    optimiser: {
      ...optimiser,
      decays: (key) => groups.get(key)!.decays,
      learningRateFactor: (key) => groups.get(key)!.factor,
    },
    upload: (engine, values) =>
      forEach(({ parts }) => {
        const [joined, width] = [join(parts, values), widthOf(parts)];
        return engine.upload({ dtype: 'float32', shape: [joined.length / width, width], values: joined });
      }),
    download: async (tensors) => {
      const values: Record<string, Float32Array> = {};
      for (const [key, { parts }] of groups) {
        Object.assign(values, cut(parts, (await tensors[key]!.data()) as Float32Array));
      }
      // In the order of the shapes, whatever the groups.
      return Object.fromEntries(Object.keys(shapes).map((name) => [name, values[name]!]));
    },
    parametersOf: (tensors) => {
      const parameters: Record<string, Tensor> = {};
      for (const [key, { parts }] of groups) {
        const width = widthOf(parts);
        const pieces = areRows(parts)
          ? unstack(tensors[key]!)
          : split(
              tensors[key]!,
              parts.map(({ size }) => size / width),
            );
        for (const [i, { name, shape }] of parts.entries()) {
          parameters[name] = reshape(pieces[i]!, [...shape]);
        }
      }
      return Object.fromEntries(Object.keys(shapes).map((name) => [name, parameters[name]!]));
    },
    layOut: (gradients) =>
      forEach(({ parts }) => {
        if (areRows(parts)) return stack(parts.map(({ name }) => gradients[name]!));
        const width = widthOf(parts);
        return concat(parts.map(({ name, size }) => reshape(gradients[name]!, [size / width, width])));
      }),
  };
}

function join(parts: readonly Part[], values: HostParameters): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { size }) => sum + size, 0));
  let offset = 0;
  for (const { name, size } of parts) {
    joined.set(values[name]!, offset);
    offset += size;
  }
  return joined;
}

function cut(parts: readonly Part[], joined: Float32Array): Record<string, Float32Array> {
  let offset = 0;
  return Object.fromEntries(
    parts.map(({ name, size }) => {
      const from = offset;
      offset += size;
      // Copies: a part must not keep the whole alive, nor be seen to be larger than it is.
      return [name, joined.slice(from, offset)];
    }),
  );
}
