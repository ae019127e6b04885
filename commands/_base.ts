import { Command, Errors, Flags, type Interfaces, ux } from '@oclif/core';
import { cleanLines, EXIT, escapeControls, SparselawError, usageError } from '../src/errors.js';
import type { OnProgress } from '../src/progress.js';
import { interruptionSignal } from './_interruption.js';
import { createProgress } from './_progress.js';

export type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)['baseFlags'] & T['flags']
>;
export type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T['args']>;

interface ErrorObject {
  error: { code: string; message: string; suggestions: string[] };
}

/** What every command shares: `--json`, `--quiet`, exit statuses, the error object, progress, interruption. */
export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    quiet: Flags.boolean({ char: 'q', summary: 'Print no progress on stderr.', helpGroup: 'GLOBAL' }),
  };

  protected flags!: FlagsOf<T>;
  protected args!: ArgsOf<T>;
  private drawing?: ReturnType<typeof createProgress>;
  private interrupting?: ReturnType<typeof interruptionSignal>;

  override async init(): Promise<void> {
    await super.init();
    const { args, flags } = await this.parse({
      flags: this.ctor.flags,
      baseFlags: (super.ctor as typeof BaseCommand).baseFlags,
      enableJsonFlag: this.ctor.enableJsonFlag,
      args: this.ctor.args,
      strict: this.ctor.strict,
    });
    this.flags = flags as FlagsOf<T>;
    this.args = args as ArgsOf<T>;
  }

  /** Draws progress on stderr, also under `--json` (stdout stays the result alone); silent with `--quiet`. */
  protected progress(): OnProgress {
    if (this.flags.quiet) return () => {};
    this.drawing ??= createProgress();
    return this.drawing;
  }

  /** A line for people, on stderr, also under `--json`; silent with `--quiet`. */
  protected notice(message: string): void {
    this.drawing?.stop();
    if (!this.flags?.quiet) process.stderr.write(`${cleanLines(message)}\n`);
  }

  /** Names and values of strangers' files show their control characters as text. */
  override log(message = ''): void {
    super.log(cleanLines(message));
  }

  protected override logJson(json: unknown): void {
    ux.stdout(escapeControls(JSON.stringify(json, null, 2)));
  }

  /** Which engine runs, in what arithmetic, where. */
  protected tellEngine(engine: { name: string; precision: string; deviceDescription: string }): void {
    this.notice(`${engine.name} (${engine.precision}) on ${engine.deviceDescription}`);
  }

  /** Aborts at the first Ctrl-C (or SIGTERM, SIGHUP); the second ends the process with status 6. */
  protected interruption(): AbortSignal {
    this.interrupting ??= interruptionSignal((message) => this.notice(message));
    return this.interrupting.signal;
  }

  override async finally(error: Error | undefined): Promise<void> {
    this.drawing?.stop();
    this.interrupting?.release();
    await super.finally(error);
  }

  override async catch(thrown: Error): Promise<void> {
    this.drawing?.stop();
    const error = asKnownError(thrown, `${this.config.bin} ${this.id?.replaceAll(':', ' ')}`);
    if (this.jsonEnabled()) {
      // Arguments that were refused were parsed: where NODE_ENV is set, oclif would warn that they were not.
      this.parsed = true;
      // oclif 4 exits 1 for any error under --json and prints its whole configuration with a flag error.
      this.logJson(this.toErrorJson(error));
      process.exitCode = error instanceof SparselawError ? error.exitStatus : exitOf(error);
      return;
    }
    if (error instanceof SparselawError) {
      this.error(error.message, { exit: error.exitStatus, suggestions: error.suggestions });
    }
    throw error;
  }

  protected override toErrorJson(error: unknown): ErrorObject {
    const { code, message, suggestions } = error as Partial<SparselawError>;
    return {
      error: {
        code: code ?? 'internal',
        message: message ?? String(error),
        suggestions: suggestions ?? [],
      },
    };
  }
}

function exitOf(error: Error): number {
  return (error as { oclif?: { exit?: number } }).oclif?.exit ?? EXIT.bug;
}

/**
 * oclif's parser wraps an error with a prefix and a hint to `--help`, and gives some of its own no exit status:
 * here each becomes one line and status 2 (or the wrapped error's own status).
 */
function asKnownError(error: Error, command: string): Error {
  const message = error.message
    .replace(/^Parsing --\S+ \n\t/, '')
    .replace(/^The following errors? occurred:\s*/, '')
    .replace(/Missing required flag (?=\w)/g, 'Missing required flag --')
    .split(/\n(?:See more help|\s*Note: )/)[0]!
    .replace(/\s*\n\s*/g, ' ')
    .trim();
  if (error instanceof SparselawError) {
    const { code, suggestions, cause } = error;
    return new SparselawError(message, error.exitStatus, { code, suggestions, cause });
  }
  // Our own code throws no CLIError: all but a wanted exit come from the parser, some (a flag given twice) without a status.
  const isParserError = error instanceof Errors.CLIError && !(error instanceof Errors.ExitError);
  return isParserError
    ? usageError(message, { code: 'usage', suggestions: [`${command} --help`], cause: error })
    : error;
}
