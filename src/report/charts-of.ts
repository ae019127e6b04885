import type { ChartGroup } from './chart-groups.js';
import { scoreGroup } from './evaluations.js';
import { bySize, limitsByLaw, trainingFits } from './fit-charts.js';
import type { ReportModel } from './model.js';
import {
  chunkProfiles,
  neuronProfiles,
  paretoProfiles,
  positionProfiles,
  tokenProfiles,
} from './profiles.js';
import { layers, losses, metrics, paretoFronts } from './run-charts.js';

/** Every group of charts whose data are there, in the order of the page. */
export function chartGroups(model: ReportModel): ChartGroup[] {
  const named = <Source extends { id: string }>(source: Source) => ({
    ...source,
    name: model.nameOf(source.id),
  });
  const profiles = model.sources.profiles.map(named);
  const groups = [
    ...trainingFits(model),
    limitsByLaw(model),
    bySize(model, 'params_non_embedding', 'scale', 'Limit against scale'),
    bySize(model, 'width_depth_ratio', 'shape', 'Limit against width and depth'),
    metrics(model),
    paretoFronts(model),
    paretoProfiles(profiles),
    scoreGroup(model.sources.evaluations.map(named)),
    layers(model),
    neuronProfiles(profiles),
    chunkProfiles(profiles),
    tokenProfiles(profiles),
    positionProfiles(profiles),
    losses(model),
  ];
  return uniqueNamesOf(
    groups.filter((group): group is ChartGroup => group !== null && group.charts.length > 0),
  );
}

/** Names are ids on the page and file names: a repeated one gets a number. */
function uniqueNamesOf(groups: ChartGroup[]): ChartGroup[] {
  const used = new Map<string, number>();
  for (const chart of groups.flatMap((group) => group.charts)) {
    const count = (used.get(chart.name) ?? 0) + 1;
    used.set(chart.name, count);
    if (count > 1) chart.name = `${chart.name}-${count}`;
  }
  return groups;
}
