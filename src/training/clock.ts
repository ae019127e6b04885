/** Training time: earlier sessions' and this one's, with saving and validation counted but not in the rate. */
export interface Clock {
  elapsed(): number;
  /** Steps a second since the last call, pauses left out. */
  rate(step: number): number;
  pause<T>(work: () => Promise<T>): Promise<T>;
}

export function startClock(before: number, fromStep: number): Clock {
  const start = performance.now();
  let mark = start;
  let markedStep = fromStep;
  return {
    elapsed: () => before + (performance.now() - start) / 1000,
    rate(step) {
      const now = performance.now();
      const rate = (step - markedStep) / Math.max((now - mark) / 1000, 1e-9);
      [mark, markedStep] = [now, step];
      return rate;
    },
    async pause(work) {
      const from = performance.now();
      try {
        return await work();
      } finally {
        mark += performance.now() - from;
      }
    },
  };
}
