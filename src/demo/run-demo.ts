import { spawn } from 'node:child_process';
import type { EngineName } from '../engine/index.js';
import { EXIT, interruptedError, SparselawError } from '../errors.js';
import { type Fit, fitFileSchema } from '../files/fit.js';
import { pathExists } from '../io/exists.js';
import { withFile } from '../io/file-error.js';
import { readJson } from '../io/json.js';
import { makeFolder } from '../io/make-folder.js';
import { shellLine } from '../io/shell.js';
import { isPreferred } from '../report/model.js';
import { lawTitle, verdictOf } from '../report/text.js';
import type { DemoPreset } from './presets.js';
import { DEMO_LAWS, type DemoStage, type DemoText, demoPaths, demoStages } from './stages.js';

export interface DemoOptions {
  out: string;
  text: DemoText;
  preset: DemoPreset;
  engine: EngineName;
  /** Path of the program's executable script. */
  program: string;
  quiet: boolean;
  announce: (message: string) => void;
  signal: AbortSignal;
}

export interface DemoLaw {
  activation: string;
  /** What is counted as active: `PPL-1%`, `not exactly zero`. */
  ratio: string;
  formula: string;
  /** In the report's words. */
  verdict: string;
  /** What stands behind the verdict, where anything does. */
  reason: string | null;
  /** Activation ratio; null where the law has none that was found. */
  limit: number | null;
  /** Which law the report shows, and its verdict, where it is not the paper's. */
  shown: string | null;
}

export interface DemoResult {
  report: string;
  table: string;
  fits: string[];
  laws: DemoLaw[];
}

/**
 * Runs one command of this program; its progress goes to our stderr, its result is kept from stdout.
 * @throws SparselawError with the command's own status.
 */
export function runStage(
  program: string,
  args: string[],
  quiet: boolean,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args, ...(quiet ? ['--quiet'] : [])], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    // A terminal's Ctrl-C reaches the child by itself; a signal to us alone must be passed on.
    const passOn = () => child.kill('SIGTERM');
    signal.addEventListener('abort', passOn, { once: true });
    child.on('error', reject);
    child.on('close', (status) => {
      signal.removeEventListener('abort', passOn);
      if (status === 0) return resolve(output);
      const words = `sparselaw ${args.slice(0, 2).join(' ')}`;
      if (signal.aborted || status === EXIT.interrupted) {
        return reject(
          interruptedError(`Stopped at \`${words}\`.`, {
            code: 'interrupted',
            suggestions: ['The same demo command goes on from there.'],
          }),
        );
      }
      const known = Object.values(EXIT).find((value) => value === status) ?? EXIT.bug;
      reject(
        new SparselawError(`\`${words}\` failed with status ${status}.`, known, {
          code: 'demo-stage-failed',
          suggestions: [`See the message above; to repeat it: sparselaw ${shellLine(args)}`],
        }),
      );
    });
  });
}

/** The verdict on the paper's law, and the law that the report shows in its place. */
async function readLaw(
  { activation, ratio, law }: (typeof DEMO_LAWS)[number],
  path: string,
): Promise<DemoLaw> {
  const file = await readJson(path, fitFileSchema);
  const fit = file.fits.find((candidate) => candidate.law === law);
  const shown = file.fits.find((candidate) => isPreferred(file, candidate));
  return {
    activation,
    ratio,
    formula: fit?.formula ?? '',
    verdict: fit ? verdictOf(fit).words : 'not fitted',
    reason: (fit && reasonOf(fit)) ?? null,
    limit: fit?.verdict === 'not-converged' ? null : (fit?.limit?.estimate ?? null),
    shown: shown && shown !== fit ? `${lawTitle(shown.law).toLowerCase()}, ${verdictOf(shown).words}` : null,
  };
}

/** What gave a fit its verdict: of all that was found, the last weighs most, but for a bound. */
const reasonOf = ({ verdict, reasons }: Fit): string | undefined =>
  (verdict === 'at-bound' ? reasons.find((reason) => reason.includes('on its bound')) : undefined) ??
  reasons.at(-1);

/** Text to report: runs every stage whose output is not there yet, and reads the two laws back. */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { out, announce, program, quiet, signal } = options;
  await withFile('write', out, () => makeFolder(out));
  const stages: DemoStage[] = demoStages(out, options.text, options.preset, options.engine);
  let changed = false;
  for (const [index, { title, args, output }] of stages.entries()) {
    const place = `[${index + 1}/${stages.length}]`;
    // Everything after the first stage that ran is made anew, except runs, which know how to resume.
    if (!changed && (await pathExists(output))) {
      announce(`${place} ${title}: already there.`);
      continue;
    }
    announce(`${place} ${title}\n      sparselaw ${shellLine(args)}`);
    const resumable = args[0] === 'train' && (await pathExists(demoRunOf(args)));
    if (args[0] === 'train' && (await pathExists(output))) continue;
    await runStage(program, resumable ? [...args, '--resume'] : args, quiet, signal);
    changed = true;
  }
  const paths = demoPaths(out);
  const fits = DEMO_LAWS.map(({ name }) => paths.fit(name));
  const laws = await Promise.all(DEMO_LAWS.map((law, i) => readLaw(law, fits[i]!)));
  return { report: paths.report, table: paths.table, fits, laws };
}

const demoRunOf = (args: string[]) => `${args[args.indexOf('--out') + 1]}/config.json`;
