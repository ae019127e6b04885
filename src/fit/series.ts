/** The points of one group, ready to be fitted. */
export interface Series {
  group: Record<string, string>;
  /** Ascending, in the law's unit. */
  x: Float64Array;
  y: Float64Array;
  /** Index into `clusterNames` of each point, where the group holds several runs or seeds. */
  clusters: Int32Array | null;
  clusterNames: string[];
  /** Non-embedding parameters of each cluster's model, where the table says. */
  clusterParameters: (number | null)[];
  /** Non-embedding parameters of the model, where the table says. */
  modelParameters: number | null;
  /** Findings about the rows that belong in `reasons`. */
  notes: string[];
}

/** A name for messages and random streams: `run_id=relu-256, p_percent=1`. */
export const groupName = (group: Record<string, string>) =>
  Object.entries(group)
    .map(([column, value]) => `${column}=${value}`)
    .join(', ') || 'all rows';

/** Points from `from` up to `to`, all of them by default. */
export function slice(series: Series, from: number, to = series.x.length): Series {
  return {
    ...series,
    x: series.x.slice(from, to),
    y: series.y.slice(from, to),
    clusters: series.clusters?.slice(from, to) ?? null,
  };
}
