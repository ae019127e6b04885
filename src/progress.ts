/** One report of how far a long task is. Library code emits it; commands draw it on stderr. */
export interface ProgressEvent {
  /** What is being done, e.g. `train` or `encode`. */
  task: string;
  done: number;
  total: number;
  /** What `done` counts, e.g. `tokens` or `bytes`; the rate is shown in this unit per second. */
  unit: string;
  /** A few words of state, e.g. `loss 3.21`. */
  detail?: string;
}

export type OnProgress = (event: ProgressEvent) => void;
