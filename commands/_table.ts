/** Rows as every command draws them: no colours, no lines between rows. The library is loaded on first use. */
export async function drawTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}
