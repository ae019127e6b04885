import type { Chart } from './chart.js';
import type { ReportModel } from './model.js';
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

export const seriesOf = (model: ReportModel, labels: Iterable<string>): Series[] => {
  const wanted = new Set(labels);
  return [...model.series.values()].filter(({ label }) => wanted.has(label));
};
