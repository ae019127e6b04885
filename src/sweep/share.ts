import type { RunStatus } from './status-file.js';

/** What a run's share is made of; `progress` is that of the stage it is at or was stopped at. */
export type StageProgress = Pick<RunStatus, 'state' | 'progress' | 'trainShare'>;

/** Before any run of the sweep was measured whole, measuring is taken to last as long as training. */
const EQUAL = 0.5;

/**
 * Part of a run's work, 0 to 1, that training is: the seconds that the sweep's measured runs spent on training out
 * of all they spent. Runs of other sizes tell it too, since both stages grow with the model.
 * @param measures whether the sweep measures at all
 */
export function expectedTrainShare(
  measures: boolean,
  others: readonly Pick<RunStatus, 'measured' | 'seconds'>[],
): number {
  if (!measures) return 1;
  const told = others.filter(({ measured, seconds }) => measured && seconds.train > 0 && seconds.measure > 0);
  const sum = (stage: 'train' | 'measure') => told.reduce((total, { seconds }) => total + seconds[stage], 0);
  return told.length === 0 ? EQUAL : sum('train') / (sum('train') + sum('measure'));
}

/**
 * Part of a run's work, 0 to 1, that is done, training and measuring together. It never falls while one process
 * works on the run, since the weight of training is settled when the run is first begun.
 */
export function shareDone(status: StageProgress | undefined, isTrained: boolean): number {
  const train = status?.trainShare ?? EQUAL;
  const { progress = null, state } = status ?? {};
  const part = progress && progress.total > 0 ? Math.min(1, progress.done / progress.total) : 0;
  const isTraining = progress?.unit === 'tokens';
  if (!isTrained) return isTraining ? train * part : 0;
  // `done`: it was measured with other settings, and has yet to be with these.
  return isTraining || state === 'done' ? train : train + (1 - train) * part;
}

/**
 * Seconds to the end of a run that is being worked on: of its stage at the present speed, and of the measuring to
 * come as long as its part of the work says; null where the speed is not known yet.
 */
export function secondsLeft({ progress, trainShare }: StageProgress): number | null {
  if (!progress?.perSecond) return null;
  const stage = (progress.total - progress.done) / progress.perSecond;
  if (progress.unit !== 'tokens') return stage;
  const train = trainShare ?? EQUAL;
  return stage + ((progress.total / progress.perSecond) * (1 - train)) / train;
}
