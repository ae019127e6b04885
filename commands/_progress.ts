import { createRequire } from 'node:module';
import type { SingleBar } from 'cli-progress';
import type { OnProgress, ProgressEvent } from '../src/progress.js';

/** Off a terminal, one line at most this often: enough for a log, little enough for a mail. */
const PLAIN_INTERVAL_MS = 5_000;
const ETA_WINDOW_MS = 10_000;
/** A long task's window grows with it: what a sweep's runs do within ten seconds says little about the hours left. */
const ETA_WINDOW_SHARE = 0.5;

/** Rate over the last seconds, so that a slow start (compilation) does not spoil the estimate for long. */
class RateMeter {
  private samples: { at: number; done: number }[] = [];
  private begun?: { at: number; done: number };

  add(done: number, at: number): void {
    // Reports without progress say nothing about the rate: a unit may take longer than the window.
    if (this.samples.at(-1)?.done === done) return;
    this.begun ??= { at, done };
    this.samples.push({ at, done });
    const window = Math.max(ETA_WINDOW_MS, ETA_WINDOW_SHARE * (at - this.begun.at));
    while (this.samples.length > 2 && at - this.samples[0]!.at > window) this.samples.shift();
  }

  /** Of the unit; 0 where nothing is known. `overall`: since the beginning, for what has ended; its last seconds are often of stragglers. */
  perSecond(overall: boolean): number {
    const first = overall ? this.begun : this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at <= first.at) return 0;
    return ((last.done - first.done) / (last.at - first.at)) * 1000;
  }
}

/** 1234567 → `1.23M`. */
export function formatCount(value: number): string {
  const magnitude = Math.abs(value);
  for (const [unit, size] of [
    ['B', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (magnitude >= size) return `${(value / size).toPrecision(3)}${unit}`;
  }
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

/** 1234567 → `1.23 MB`. */
export const formatBytes = (bytes: number): string => {
  const [, number, unit] = /^([\d.e+]+)([kMB]?)$/.exec(formatCount(bytes))!;
  return `${number} ${unit === 'B' ? 'G' : unit}B`;
};

/** Seconds → `3m 05s`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const pad = (value: number) => String(value).padStart(2, '0');
  if (hours > 0) return `${hours}h ${pad(minutes)}m`;
  return minutes > 0 ? `${minutes}m ${pad(whole % 60)}s` : `${whole}s`;
}

function describe(event: ProgressEvent, rate: number): { rate: string; eta: string; detail: string } {
  const left = event.total - event.done;
  return {
    rate:
      rate <= 0
        ? ''
        : rate < 0.5
          ? `${formatDuration(1 / rate)} each`
          : `${formatCount(rate)} ${event.unit}/s`,
    eta: left <= 0 ? 'done' : rate > 0 ? `${formatDuration(left / rate)} left` : '',
    detail: event.detail ?? '',
  };
}

/** One plain line of progress: for pipes and logs. */
export function plainLine(event: ProgressEvent, rate: number): string {
  const { rate: speed, eta, detail } = describe(event, rate);
  const percent = event.total > 0 ? `${Math.floor((100 * event.done) / event.total)}%` : '';
  const counts = `${formatCount(event.done)}/${formatCount(event.total)} ${event.unit}`;
  return [event.task, percent, counts, speed, eta, detail].filter((part) => part !== '').join('  ');
}

/**
 * Draws progress on stderr: a bar with rate and time left on a terminal, plain lines elsewhere.
 * `stop` ends the bar's line; call it before anything else is printed.
 */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): OnProgress & { stop(): void } {
  const isTerminal = stream.isTTY === true;
  let bar: SingleBar | undefined;
  let task = '';
  let meter = new RateMeter();
  let lastPlain = 0;
  /** The task that ended last: the same end told again (the last chunks of a download) is not drawn again. */
  let ended = '';

  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  const draw = (event: ProgressEvent) => {
    const now = Date.now();
    const finished = event.done >= event.total;
    if (finished && event.task === ended) return;
    ended = finished ? event.task : '';
    if (event.task !== task) {
      stop();
      task = event.task;
      meter = new RateMeter();
      lastPlain = now;
    }
    meter.add(event.done, now);
    const rate = meter.perSecond(finished);
    if (!isTerminal) {
      if (!finished && now - lastPlain < PLAIN_INTERVAL_MS) return;
      lastPlain = now;
      stream.write(`${plainLine(event, rate)}\n`);
      if (finished) task = '';
      return;
    }
    if (!bar) {
      // Loaded on first use: most commands never draw a bar and should not pay for it at start-up.
      const { SingleBar, Presets } = createRequire(import.meta.url)(
        'cli-progress',
      ) as typeof import('cli-progress');
      bar = new SingleBar(
        {
          format: '{task} {bar} {percentage}%  {rate}  {eta_text}  {detail}',
          stream,
          hideCursor: true,
          clearOnComplete: false,
          barsize: 24,
          linewrap: false,
        },
        Presets.shades_classic,
      );
      bar.start(event.total, event.done, { task, rate: '', eta_text: '', detail: '' });
    }
    const words = describe(event, rate);
    bar.setTotal(event.total);
    bar.update(event.done, { task, rate: words.rate, eta_text: words.eta, detail: words.detail });
    if (finished) {
      stop();
      task = '';
    }
  };
  return Object.assign(draw, { stop });
}
