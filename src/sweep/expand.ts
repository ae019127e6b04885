import { inputError } from '../errors.js';
import { printable } from '../io/printable.js';
import type { GridFile, GridPath } from './grid-file.js';
import type { Block } from './grid-schema.js';

/** A grid of more runs than this is a typing mistake. */
const MAX_RUNS = 10_000;

/** What the grid says about one run, and the line (from 1) on which each value stands. */
export interface GridRun {
  values: Record<string, unknown>;
  lines: ReadonlyMap<string, number>;
}

type Settings = { key: string; value: unknown; path: GridPath }[];

/**
 * Every run of a grid, in its order: each block's combinations (the last key changes fastest), then its runs.
 * Values of a run win over lists, lists over a block's defaults, those over the file's.
 * @throws SparselawError (status 3) for lists of unequal length, or too many runs
 */
export function expandGrid(file: GridFile): GridRun[] {
  const { grid } = file;
  const shared = settingsOf(grid.defaults, ['defaults']);
  const own = { product: grid.product, lists: grid.lists, runs: grid.runs };
  const hasOwn = Object.values(own).some((part) => part !== undefined);
  const blocks = (grid.grids ?? []).map((block, index) => ({ block, at: ['grids', index] as GridPath }));
  // A file of nothing but defaults is one run.
  if (hasOwn || blocks.length === 0) blocks.unshift({ block: own, at: [] });
  const runs = blocks.flatMap(({ block, at }) => expandBlock(file, block, at, shared));
  if (runs.length === 0) {
    throw inputError(`${printable(file.path)} describes no run.`, { code: 'bad-grid' });
  }
  return runs.map((settings) => toRun(settings, file.lineOf));
}

function expandBlock(file: GridFile, block: Block, at: GridPath, shared: Settings): Settings[] {
  const base = [...shared, ...settingsOf(block.defaults, [...at, 'defaults'])];
  const axes: Settings[][] = [];
  for (const [key, values] of Object.entries(block.product ?? {})) {
    axes.push(values.map((value, i) => [{ key, value, path: [...at, 'product', key, i] }]));
  }
  if (block.lists) axes.push(sideBySide(file, block.lists, [...at, 'lists']));
  const size = axes.reduce((product, axis) => product * axis.length, 1);
  if (size > MAX_RUNS) {
    throw inputError(
      `${printable(file.path)}, line ${file.lineOf([...at, 'product'])}: ${size} runs are more than ${MAX_RUNS}.`,
      { code: 'bad-grid' },
    );
  }
  const combined = axes.reduce<Settings[]>(
    (runs, axis) => runs.flatMap((run) => axis.map((settings) => [...run, ...settings])),
    [base],
  );
  const written = (block.runs ?? []).map((run, i) => [...base, ...settingsOf(run, [...at, 'runs', i])]);
  return axes.length > 0 || !block.runs ? [...combined, ...written] : written;
}

const settingsOf = (values: Record<string, unknown> | undefined, at: GridPath): Settings =>
  Object.entries(values ?? {}).map(([key, value]) => ({ key, value, path: [...at, key] }));

function sideBySide(file: GridFile, lists: Record<string, unknown[]>, at: GridPath): Settings[] {
  const [first, ...others] = Object.entries(lists);
  if (!first) return [[]];
  const [firstKey, { length }] = first;
  for (const [key, values] of others) {
    if (values.length === length) continue;
    throw inputError(
      `${printable(file.path)}, line ${file.lineOf([...at, key])}: lists are read side by side, but ` +
        `${printable(key)} has ${values.length} values and ${printable(firstKey)} ${length}.`,
      { code: 'bad-grid', suggestions: ['Give both as many values, or put one of them under product.'] },
    );
  }
  return Array.from({ length }, (_, i) =>
    Object.entries(lists).map(([key, values]) => ({ key, value: values[i], path: [...at, key, i] })),
  );
}

function toRun(settings: Settings, lineOf: GridFile['lineOf']): GridRun {
  const values: Record<string, unknown> = {};
  const lines = new Map<string, number>();
  for (const { key, value, path } of settings) {
    values[key] = value;
    lines.set(key, lineOf(path));
    if (typeof value !== 'object' || value === null) continue;
    for (const inner of Object.keys(value)) lines.set(`${key}.${inner}`, lineOf([...path, inner]));
  }
  return { values, lines };
}
