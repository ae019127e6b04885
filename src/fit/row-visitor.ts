export type Cell = string | number | null;

/** What a reader of rows is told: the columns once, then every row with its line (or row number) in the file. */
export interface RowVisitor {
  columns(names: string[]): void;
  row(cells: readonly Cell[], line: number): void;
}
