/** One line of what `doctor` says. */
export interface Check {
  name: string;
  status: 'ok' | 'warning' | 'missing';
  /** What was seen. */
  found: string;
  /** What to do about it; empty when nothing is to be done. */
  advice: string;
}
