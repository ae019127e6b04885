import { sha256 } from '../io/hash.js';
import type { Chart, Row, Spec } from './chart.js';
import type { ClientChart, ClientData, PackedTable } from './client.js';
import { withoutLegend } from './render.js';
import { themed } from './theme.js';

/** Digits of the hash that names a table on the page. */
const ID_LENGTH = 12;

/** Rows as columns; a column of texts as indices into its distinct values. */
export function packTable(rows: readonly Row[]): PackedTable {
  const fields = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = fields.map((field) => {
    const cells = rows.map((row) => row[field] ?? null);
    if (!cells.every((cell) => typeof cell === 'string')) return cells;
    const values = [...new Set(cells)];
    const index = new Map(values.map((value, i) => [value, i]));
    return { values, indices: cells.map((cell) => index.get(cell)!) };
  });
  return { fields, columns };
}

/** The data of all charts, each table of rows once. */
export function packCharts(charts: readonly Chart[]): ClientData {
  const data: ClientData = { charts: {}, tables: {} };
  const store = (rows: readonly Row[]) => {
    const packed = packTable(rows);
    const id = sha256(JSON.stringify(packed)).slice(0, ID_LENGTH);
    data.tables[id] = packed;
    return id;
  };
  for (const chart of charts) {
    const { datasets, ...spec } = themed(withoutLegend(chart)) as Spec & { datasets: Record<string, Row[]> };
    const packed: ClientChart = {
      spec: spec as Record<string, unknown>,
      datasets: Object.fromEntries(Object.entries(datasets).map(([name, rows]) => [name, store(rows)])),
      table: store(chart.table.rows),
      fields: chart.table.fields,
    };
    data.charts[chart.name] = packed;
  }
  return data;
}
