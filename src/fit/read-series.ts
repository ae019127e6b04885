import { inputError, usageError } from '../errors.js';
import { noRows } from '../files/table.js';
import { printable } from '../io/printable.js';
import { readRows, type TableKind } from './read-rows.js';
import type { Cell } from './row-visitor.js';
import type { Series } from './series.js';

export interface SeriesRequest {
  x?: string;
  y?: string;
  /** Grouping columns; those of a sparselaw table that exist when absent. */
  group?: string[];
  /** `COL=VALUE`; all must hold. */
  where?: string[];
  /** Columns that tell the runs or seeds within a group apart. */
  cluster?: string[];
  /** Collect the runs of each group for a joint law: by default, all runs of one activation and setting. */
  joint?: boolean;
  /** Column of the model's non-embedding parameters. */
  parameters?: string;
  /** Keep rows of the warm-up and decay phases. */
  allPhases?: boolean;
  /** The table's x is divided by this; 1e9 for `tokens`, 1 for any other x, when absent. */
  xUnit?: number;
  /** x must be positive (any law with a power or a logarithm). */
  positiveX: boolean;
}

export interface SeriesTable {
  kind: TableKind;
  x: string;
  y: string;
  xUnit: number;
  groupColumns: string[];
  series: Series[];
  rows: { read: number; used: number; leftOut: Record<string, number> };
  /** What a person should know: phases and missing values left out. */
  notices: string[];
}

/** A run and the measurement's settings; `cett` joins them where it is a setting, not a result. */
const TABLE_GROUPS = [
  'run_id',
  'metric',
  'p_percent',
  'epsilon',
  'k_ratio',
  'score',
  'shared_cett',
  'protocol',
];
const JOINT_GROUPS = ['activation', ...TABLE_GROUPS.filter((name) => name !== 'run_id')];
const CLUSTER_COLUMNS = ['run_id', 'seed'];
const TOKENS_UNIT = 1e9;

interface Building {
  group: Record<string, string>;
  x: number[];
  y: number[];
  lines: number[];
  clusters: number[];
  clusterIndex: Map<string, number>;
  clusterParameters: (number | null)[];
  parameters: Set<number>;
}

/** Reads a table and collects one series a group, each sorted by x. */
export async function readSeries(path: string, request: SeriesRequest): Promise<SeriesTable> {
  const groups = new Map<string, Building>();
  const leftOut: Record<string, number> = {};
  let read = 0;
  let used = 0;
  let plan: ColumnPlan | null = null;
  const skip = (why: string) => {
    leftOut[why] = (leftOut[why] ?? 0) + 1;
  };
  const kind = await readRows(path, {
    columns(names) {
      plan = planColumns(names, request, path);
    },
    row(cells, line) {
      const columns = plan!;
      read++;
      if (!columns.where.every(({ index, accepts }) => accepts(cells[index]!))) return skip('--where');
      if (columns.phase >= 0 && /^(warmup|decay)$/.test(text(cells[columns.phase]!))) {
        return skip(`phase ${cells[columns.phase]}`);
      }
      const building = groupOf(groups, columns, cells);
      const where = (index: number) => ({ path, line, column: columns.names[index]! });
      const x = toNumber(cells[columns.x]!, () => where(columns.x));
      const y = toNumber(cells[columns.y]!, () => where(columns.y));
      if (x === null) return skip(`${columns.names[columns.x]} missing`);
      if (y === null) return skip(`${columns.names[columns.y]} missing`);
      if (request.positiveX || columns.xIsTokens) {
        if (x < 0) {
          throw inputError(
            `${printable(path)}, line ${line}, column "${columns.names[columns.x]}": ${x} is negative.`,
            { code: 'bad-value', suggestions: ['Correct the value, or leave the row out with --where.'] },
          );
        }
        if (x === 0 && request.positiveX) return skip(`${columns.names[columns.x]} = 0`);
      }
      used++;
      building.x.push(x / columns.xUnit);
      building.y.push(y);
      building.lines.push(line);
      if (columns.cluster.length > 0) building.clusters.push(clusterOf(building, columns, cells));
      if (columns.parameters >= 0) {
        const value = toNumber(cells[columns.parameters]!, () => where(columns.parameters));
        if (value !== null) {
          building.parameters.add(value);
          if (columns.cluster.length > 0) building.clusterParameters[building.clusters.at(-1)!] = value;
        }
      }
    },
  });
  const columns = plan! as ColumnPlan;
  if (read === 0) throw noRows(path);
  if (used === 0) throw noneLeft(path, columns.names[columns.x]!, leftOut);
  return {
    kind,
    x: columns.names[columns.x]!,
    y: columns.names[columns.y]!,
    xUnit: columns.xUnit,
    groupColumns: columns.groupNames,
    series: [...groups.values()].map(finish),
    rows: { read, used, leftOut },
    notices: Object.entries(leftOut)
      .filter(([why]) => why !== '--where')
      .map(([why, count]) => `Left out: ${count} row${count === 1 ? '' : 's'} with ${why}.`),
  };
}

function noneLeft(path: string, x: string, leftOut: Record<string, number>) {
  const why = Object.entries(leftOut).map(([reason, count]) => `${count} by ${reason}`);
  const allMissing = Object.keys(leftOut).every((reason) => reason === `${x} missing`) && why.length > 0;
  return inputError(
    `${printable(path)} has no rows to fit${why.length > 0 ? `: left out were ${why.join(', ')}` : ''}.`,
    {
      code: 'no-rows',
      suggestions: [
        allMissing
          ? `Name another column with --x: no row has a value of ${printable(x)}.`
          : 'Check --where, or fit the left-out phases with --all-phases.',
      ],
    },
  );
}

interface ColumnPlan {
  names: string[];
  x: number;
  y: number;
  xUnit: number;
  xIsTokens: boolean;
  groupNames: string[];
  group: number[];
  /** `cett` groups the rows whose metric is `cett`: elsewhere it is a result. */
  cett: { metric: number; cett: number } | null;
  cluster: number[];
  parameters: number;
  phase: number;
  where: { index: number; accepts: (cell: Cell) => boolean }[];
}

function planColumns(names: string[], request: SeriesRequest, path: string): ColumnPlan {
  const find = (name: string, flag: string) => {
    const index = names.indexOf(name);
    if (index >= 0) return index;
    throw inputError(`${printable(path)} has no column "${printable(name)}" (${flag}).`, {
      code: 'missing-column',
      suggestions: [`Its columns are: ${names.map((column) => printable(column)).join(', ')}.`],
    });
  };
  const isFit = names.includes('limit_se');
  const xName = request.x ?? (isFit ? 'params_non_embedding' : 'tokens');
  const yName = request.y ?? (isFit ? 'limit' : 'activation_ratio');
  const groupNames =
    request.group ??
    (isFit ? [] : (request.joint ? JOINT_GROUPS : TABLE_GROUPS).filter((name) => names.includes(name)));
  const grouped = request.group === undefined && groupNames.includes('metric') && names.includes('cett');
  const clusterNames =
    request.cluster ?? CLUSTER_COLUMNS.filter((name) => names.includes(name) && !groupNames.includes(name));
  const parametersName = request.parameters ?? 'params_non_embedding';
  const where = (request.where ?? []).map((condition) => {
    const at = condition.indexOf('=');
    if (at < 1) {
      throw usageError(`--where ${printable(condition)}: must be COLUMN=VALUE.`, { code: 'bad-flag' });
    }
    const value = condition.slice(at + 1);
    const number = value.trim() === '' ? Number.NaN : Number(value);
    return {
      name: condition.slice(0, at),
      index: find(condition.slice(0, at), '--where'),
      accepts: (cell: Cell) =>
        text(cell) === value ||
        (!Number.isNaN(number) && cell !== '' && cell !== null && Number(cell) === number),
    };
  });
  const xIsTokens = xName === 'tokens';
  return {
    names,
    x: find(xName, '--x'),
    y: find(yName, '--y'),
    xUnit: request.xUnit ?? (xIsTokens ? TOKENS_UNIT : 1),
    xIsTokens,
    groupNames: grouped ? [...groupNames, 'cett'] : groupNames,
    group: groupNames.map((name) => find(name, '--group')),
    cett: grouped ? { metric: names.indexOf('metric'), cett: names.indexOf('cett') } : null,
    cluster: clusterNames.map((name) => find(name, '--cluster')),
    parameters: request.parameters ? find(parametersName, '--parameters') : names.indexOf(parametersName),
    phase: request.allPhases || where.some(({ name }) => name === 'phase') ? -1 : names.indexOf('phase'),
    where,
  };
}

const text = (cell: Cell) => (cell === null ? '' : String(cell).trim());

function groupOf(groups: Map<string, Building>, columns: ColumnPlan, cells: readonly Cell[]): Building {
  const values = columns.group.map((index) => text(cells[index]!));
  if (columns.cett) {
    values.push(text(cells[columns.cett.metric]!) === 'cett' ? text(cells[columns.cett.cett]!) : '');
  }
  const key = values.join('\0');
  let building = groups.get(key);
  if (!building) {
    building = {
      group: Object.fromEntries(
        columns.groupNames.map((name, i) => [name, values[i]!]).filter(([, value]) => value !== ''),
      ),
      x: [],
      y: [],
      lines: [],
      clusters: [],
      clusterIndex: new Map(),
      clusterParameters: [],
      parameters: new Set(),
    };
    groups.set(key, building);
  }
  return building;
}

function clusterOf(building: Building, columns: ColumnPlan, cells: readonly Cell[]): number {
  const name = columns.cluster.map((index) => text(cells[index]!)).join(', ');
  let index = building.clusterIndex.get(name);
  if (index === undefined) {
    index = building.clusterIndex.size;
    building.clusterIndex.set(name, index);
  }
  return index;
}

/** An empty cell is missing; anything but a finite number is an error that names its place. */
function toNumber(cell: Cell, where: () => { path: string; line: number; column: string }): number | null {
  if (cell === null) return null;
  if (typeof cell === 'number' && Number.isFinite(cell)) return cell;
  const trimmed = String(cell).trim();
  if (trimmed === '') return null;
  const value = Number(trimmed);
  if (Number.isFinite(value)) return value;
  const { path, line, column } = where();
  throw inputError(
    `${printable(path)}, line ${line}, column "${printable(column)}": "${printable(trimmed)}" is not a number.`,
    { code: 'bad-value', suggestions: ['Leave the cell empty when the value is missing.'] },
  );
}

/** Sorts by x (stable) and notes repeated x. */
function finish(building: Building): Series {
  const n = building.x.length;
  const order = Array.from({ length: n }, (_, i) => i);
  const sorted = building.x.every((value, i) => i === 0 || value >= building.x[i - 1]!);
  if (!sorted) order.sort((a, b) => building.x[a]! - building.x[b]!);
  const several = building.clusterIndex.size > 1;
  const x = Float64Array.from(order, (i) => building.x[i]!);
  const notes: string[] = [];
  const repeats = x.findIndex((value, i) => i > 0 && value === x[i - 1]);
  if (repeats > 0 && !several) {
    const [first, second] = [order[repeats - 1]!, order[repeats]!].map((i) => building.lines[i]);
    notes.push(`the same x stands twice (lines ${first} and ${second}): taken as independent repeats`);
  }
  const [parameters] = building.parameters;
  return {
    group: building.group,
    x,
    y: Float64Array.from(order, (i) => building.y[i]!),
    clusters: several ? Int32Array.from(order, (i) => building.clusters[i]!) : null,
    clusterNames: several ? [...building.clusterIndex.keys()] : [],
    clusterParameters: several
      ? [...building.clusterIndex.values()].map((c) => building.clusterParameters[c] ?? null)
      : [],
    modelParameters: building.parameters.size === 1 ? parameters! : null,
    notes,
  };
}
