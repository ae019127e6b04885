import { Command, Flags, type Interfaces } from '@oclif/core';
import { EXIT, SparselawError } from '../src/errors.js';

export type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)['baseFlags'] & T['flags']
>;
export type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T['args']>;

/** What every command shares: `--json`, `--quiet`, exit statuses, the error object, interruption. */
export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    quiet: Flags.boolean({ char: 'q', summary: 'Print no progress on stderr.', helpGroup: 'GLOBAL' }),
  };

  protected flags!: FlagsOf<T>;
  protected args!: ArgsOf<T>;

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

  override async catch(error: Error & { exitCode?: number; oclif?: { exit?: number } }): Promise<void> {
    const known = error instanceof SparselawError;
    const exitStatus = known ? error.exitStatus : (error.oclif?.exit ?? EXIT.bug);
    if (this.jsonEnabled()) {
      this.logJson(this.toErrorJson(error));
      this.exit(exitStatus);
    }
    if (known) {
      this.error(error.message, { exit: exitStatus, code: error.code, suggestions: error.suggestions });
    }
    throw error;
  }

  protected override toErrorJson(error: unknown): {
    error: { code: string; message: string; suggestions: string[] };
  } {
    const e = error as { code?: string; message?: string; suggestions?: string[]; oclif?: { exit?: number } };
    const code = e.code ?? (e.oclif?.exit === EXIT.usage ? 'usage' : 'internal');
    return { error: { code, message: e.message ?? String(error), suggestions: e.suggestions ?? [] } };
  }
}
