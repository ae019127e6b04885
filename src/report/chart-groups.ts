import type { Chart } from './chart.js';
import type { Series } from './series.js';

/** Charts of one section; several stand in a grid. */
export interface ChartGroup {
  id: string;
  title: string;
  intro: string;
  charts: Chart[];
}

/** Text as a part of an id and a file name. */
export const slug = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);

/** The series that have one of the labels, in their own order. */
export const seriesOf = (series: ReadonlyMap<string, Series>, labels: Iterable<string>): Series[] => {
  const wanted = new Set(labels);
  return [...series.values()].filter(({ label }) => wanted.has(label));
};
