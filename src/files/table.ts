import { z } from 'zod';
import { inputError } from '../errors.js';
import { formatCsv } from '../io/csv.js';
import { pathExists } from '../io/exists.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';

/** Version of the column dictionary; written to `table.csv.schema.json`. */
export const TABLE_SCHEMA_VERSION = 1;

/** How a cell is written and stored: text as is, integers and numbers with every digit, booleans true and false. */
export type ColumnKind = 'text' | 'integer' | 'number' | 'boolean';

interface ColumnMeaning {
  kind: ColumnKind;
  /** `1` for a pure number, empty for what has no unit. */
  unit: string;
  definition: string;
}

const text = (definition: string) => ({ kind: 'text', unit: '', definition }) as const;
const integer = (unit: string, definition: string) => ({ kind: 'integer', unit, definition }) as const;
const number = (unit: string, definition: string) => ({ kind: 'number', unit, definition }) as const;

/**
 * The columns of table.csv in their order: one row per checkpoint × metric × setting. A cell without a value is
 * empty, never 0. Metrics and laws follow "Sparsing Law" (arXiv 2411.02335), sections 2 and 3.
 */
export const TABLE_COLUMNS = {
  run_id: text('Name of the run folder, or of the series a foreign checkpoint belongs to.'),
  checkpoint: text('Name of the checkpoint folder.'),
  step: integer('steps', 'Optimiser steps done at the checkpoint.'),
  tokens: integer(
    'tokens',
    'Training tokens seen at the checkpoint (predicted positions, repeats included).',
  ),
  metric: text('zero, fat, topk, global, cett or pplp: the rule that tells weak neurons from active ones.'),
  p_percent: number('%', 'Tolerated rise of perplexity (pplp).'),
  epsilon: number('1', 'Threshold on the gate activation (fat) or on the output norm (global).'),
  k_ratio: number('1', 'Share of neurons kept per token (topk).'),
  cett: number('1', 'Bound on the relative error of each FFN output: given (cett) or found (pplp).'),
  protocol: text('dataset, paper or heldout: how thresholds and perplexity share the evaluated text.'),
  status: text('ok, or at-bound where the search ended at the edge of its range.'),
  activation: text('Activation function on the FFN gate.'),
  gated: {
    kind: 'boolean',
    unit: '',
    definition: 'Whether the FFN multiplies the gate with an up-projection.',
  },
  n_layer: integer('layers', 'Transformer blocks.'),
  d_model: integer('1', 'Width of the residual stream.'),
  d_ff: integer('neurons', 'FFN neurons per block.'),
  n_head: integer('heads', 'Query heads per block.'),
  vocab_size: integer('tokens', 'Size of the vocabulary.'),
  params_total: integer('parameters', 'All weights; a tied output head is counted once.'),
  params_non_embedding: integer('parameters', 'All weights but the embedding and an untied output head.'),
  width_depth_ratio: number('1', 'd_model / n_layer.'),
  seed: integer('', 'Seed of the run.'),
  activation_ratio: number(
    '1',
    'Share of neurons kept inside the sparse forward pass: mean over tokens, then over layers.',
  ),
  activation_ratio_se: number('1', 'Standard error of activation_ratio, by a bootstrap over windows.'),
  activation_ratio_dense: number(
    '1',
    'The same share, counted on the activations of the dense forward pass.',
  ),
  sparsity: number('1', '1 − activation_ratio.'),
  loss_dense_nats_per_token: number(
    'nats/token',
    'Mean next-token loss of the dense model on the evaluated text.',
  ),
  loss_sparse_nats_per_token: number('nats/token', 'The same with weak neurons dropped.'),
  ppl_dense: number('1', 'exp of loss_dense_nats_per_token.'),
  ppl_sparse: number('1', 'Perplexity with weak neurons dropped.'),
  ppl_ratio: number('1', 'ppl_sparse / ppl_dense; in protocol paper the mean over batches.'),
  tokens_evaluated: integer('tokens', 'Predictions that loss and activation ratio are means of.'),
  calibration_tokens: integer('tokens', 'Tokens on which thresholds were searched.'),
  sequence_length: integer('tokens', 'Predictions per evaluation window.'),
  data_sha256: text('Hash of the evaluated data.'),
  checkpoint_sha256: text('Hash of the measured weights.'),
  engine: text('What ran the measurement.'),
  precision: text('Arithmetic of the measurement.'),
  device: text('Device of the measurement.'),
  train_engine: text('What ran the training.'),
  train_precision: text('Arithmetic of the training.'),
  phase: text('warmup, stable or decay: where the checkpoint lies in the learning-rate schedule.'),
  learning_rate: number('1', 'Peak learning rate of the run.'),
  batch_tokens: integer('tokens', 'Tokens per optimiser step.'),
  unique_tokens: integer('tokens', 'Tokens in the training split.'),
  epochs: number('1', 'tokens / unique_tokens: how often the training text was seen at the checkpoint.'),
  train_loss_nats_per_token: number(
    'nats/token',
    'Mean training loss of the steps logged since the checkpoint before, each before its own update.',
  ),
  validation_loss_nats_per_token: number(
    'nats/token',
    'Loss on the validation split, as training found it at the checkpoint.',
  ),
  validation_bits_per_byte: number('bits/byte', 'The same per byte of text.'),
  ppl_ratio_se: number('1', 'Standard error of ppl_ratio, by a bootstrap over windows at fixed thresholds.'),
  score: text('gate or output: what topk ranks neurons by.'),
  shared_cett: text(
    "last:5 where pplp's bound is that of the run's last five checkpoints; empty where it is each one's own.",
  ),
} as const satisfies Record<string, ColumnMeaning>;

export type TableColumn = keyof typeof TABLE_COLUMNS;
type CellTypes = { text: string; integer: number; number: number; boolean: boolean };
/** One row of table.csv; null is missing. */
export type TableRow = { -readonly [C in TableColumn]: CellTypes[(typeof TABLE_COLUMNS)[C]['kind']] | null };

export const TABLE_COLUMN_NAMES = Object.keys(TABLE_COLUMNS) as TableColumn[];

/** A row in which everything is missing. */
export const emptyRow = (): TableRow =>
  Object.fromEntries(TABLE_COLUMN_NAMES.map((column) => [column, null])) as TableRow;

/** CSV text of rows: numbers with full round-trip precision, missing cells empty, no comment lines. */
export const formatTable = (rows: readonly TableRow[]): string => formatCsv(TABLE_COLUMN_NAMES, rows);

/**
 * Reads the known columns of CSV rows; unknown columns are left to the caller, absent ones are missing.
 * @param table as `readCsv` gives it; `path` names the file in messages
 * @throws SparselawError (status 3) naming line and column of a cell that is not of its column's kind
 */
export function parseTable(
  table: { columns: readonly string[]; rows: readonly Record<string, string>[]; lines: readonly number[] },
  path: string,
): TableRow[] {
  const known = TABLE_COLUMN_NAMES.filter((column) => table.columns.includes(column));
  return table.rows.map((cells, index) => {
    const row = emptyRow();
    for (const column of known) {
      const value = parseCell(cells[column] ?? '', TABLE_COLUMNS[column].kind);
      if (value === undefined) throw badCell(path, table.lines[index], column, cells[column]!);
      Object.assign(row, { [column]: value });
    }
    return row;
  });
}

/** undefined where the text is no such value; `nan` and `na` are how other tools write a missing cell. */
function parseCell(cell: string, kind: ColumnKind): string | number | boolean | null | undefined {
  const trimmed = cell.trim();
  if (trimmed === '') return null;
  if (kind === 'text') return cell;
  if (/^(nan|na|null|none)$/i.test(trimmed)) return null;
  if (kind === 'boolean') return { true: true, false: false, '1': true, '0': false }[trimmed.toLowerCase()];
  const value = Number(trimmed);
  if (!Number.isFinite(value) || (kind === 'integer' && !Number.isInteger(value))) return undefined;
  return value;
}

const badCell = (path: string, line: number | undefined, column: TableColumn, cell: string) =>
  inputError(
    `${path}${line === undefined ? '' : `, line ${line}`}, column ${column}: "${cell.slice(0, 60)}" is not ` +
      `${{ text: 'text', integer: 'a whole number', number: 'a finite number', boolean: 'true or false' }[TABLE_COLUMNS[column].kind]}.`,
    { code: 'bad-cell', suggestions: ['Leave the cell empty where there is no value.'] },
  );

/** The object of `table.csv.schema.json`: version, and name, kind, unit and definition of every column. */
export const tableDictionary = () => ({
  schemaVersion: TABLE_SCHEMA_VERSION,
  missing: 'an empty cell (CSV) or null (Parquet); never 0',
  columns: TABLE_COLUMN_NAMES.map((name) => ({ name, ...(TABLE_COLUMNS[name] as ColumnMeaning) })),
});

/** Whether a path is taken for a table rather than a folder or a fit. */
export const isTablePath = (path: string): boolean => /\.(csv|parquet)$/i.test(path);

/** What is said of a table that has columns and nothing in them. */
export const noRows = (path: string) =>
  inputError(`${printable(path)} holds no rows, only the names of its columns.`, { code: 'no-rows' });

/** Where a table's dictionary lies. */
export const dictionaryPath = (table: string): string => `${table}.schema.json`;

/** Whether a table is another than its dictionary was written for: edited since, or damaged. */
export async function wasChanged(table: string, tableSha256: string): Promise<boolean> {
  const path = dictionaryPath(table);
  if (!(await pathExists(path))) return false;
  const { sha256 } = await readJson(path, z.looseObject({ sha256: z.string().optional() }));
  return sha256 !== undefined && sha256 !== tableSha256;
}

/** What is said of such a table. */
export const changedTable = (table: string): string =>
  `${printable(table)} was changed after \`sparselaw table\` wrote it: edited, or damaged.`;
