import type { RunView } from '../../src/sweep/status.js';
import { formatCount, formatDuration } from '../_progress.js';
import { drawTable } from '../_table.js';

const BAR = 20;

const bar = (share: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR);
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`;
};

/** The table of `sweep status`, one line a run, and a line that sums up. */
export async function statusTable(views: readonly RunView[]): Promise<string> {
  const rows = views.map((view) => {
    const { id, state, stage, progress, share, secondsLeft, reason, job } = view;
    const isRunning = state === 'running';
    return [
      id,
      isRunning && stage ? stage : state,
      `${bar(share)} ${String(Math.floor(100 * share)).padStart(3)}%`,
      isRunning && progress?.perSecond ? `${formatCount(progress.perSecond)} ${progress.unit}/s` : '',
      secondsLeft === null ? '' : formatDuration(secondsLeft),
      reason?.message ?? (state === 'queued' && job ? `job ${job}` : ''),
    ];
  });
  const drawn = await drawTable(['run', 'state', 'progress', 'speed', 'left', 'note'], rows);
  return `${drawn}\n${summary(views)}`;
}

/** `8 runs: 3 done, 2 running, 3 pending`. */
export function summary(views: readonly RunView[]): string {
  const order = ['done', 'running', 'trained', 'queued', 'pending', 'stopped', 'failed'] as const;
  const counts = order.flatMap((state) => {
    const count = views.filter((view) => view.state === state).length;
    return count > 0 ? [`${count} ${state}`] : [];
  });
  return `${views.length} run${views.length === 1 ? '' : 's'}: ${counts.join(', ')}`;
}

/** Work done so far in runs, each run counting as one, and as done only when it is. */
export function sweepProgress(views: readonly RunView[]) {
  return {
    task: 'sweep',
    done: views.reduce((sum, { state, share }) => sum + (state === 'done' ? 1 : 0.999 * share), 0),
    total: views.length,
    unit: 'runs',
    detail: summary(views).replace(/^.*?: /, ''),
  };
}
