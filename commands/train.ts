import { Flags, type Interfaces } from '@oclif/core';
import { MUP_FIELDS, PAPER_MUP } from '../src/config/fields.js';
import { CONFIG_DEFAULTS, CONFIG_FIELDS, type Config, fieldInfo, flagName } from '../src/config.js';
import { EXIT } from '../src/errors.js';
import { shellWord } from '../src/io/shell.js';
import type { OnProgress } from '../src/progress.js';
import type { TrainEvent } from '../src/training/events.js';
import type { TrainingPlan } from '../src/training/plan.js';
import type { TrainResult } from '../src/training/train.js';
import { BaseCommand } from './_base.js';
import { dumpProgramFlag, engineFlags, numberFlag } from './_flags.js';
import { formatBytes, formatCount } from './_progress.js';

const HELP_VALUES: Record<string, string> = {
  quantity: 'COUNT',
  number: 'NUMBER',
  integer: 'COUNT',
  path: 'DIR',
};

/** One flag for each key of the configuration; `resolveConfig` checks values, so that file and flag agree. */
function configFlags(): Interfaces.FlagInput {
  const flags: Interfaces.FlagInput = {};
  const fields = { ...CONFIG_FIELDS, ...prefixed(MUP_FIELDS) };
  for (const [key, field] of Object.entries(fields)) {
    const info = fieldInfo.get(field);
    if (!info || info.kind === 'group' || key in engineFlags) continue;
    const { kind, group, summary } = info;
    const about = { summary: summary.replace(/\.$/, '') + defaultWords(key), helpGroup: group };
    const name = flagName(key);
    if (kind === 'boolean') flags[name] = Flags.boolean({ ...about, allowNo: true });
    else if (kind === 'choice') flags[name] = Flags.option({ ...about, options: [...info.choices!] })();
    else if (kind === 'number' || kind === 'integer') flags[name] = numberFlag(about);
    else flags[name] = Flags.string({ ...about, helpValue: HELP_VALUES[kind] ?? 'TEXT' });
  }
  return flags;
}

/** ` [default: 8192]`; nothing for keys that say in words what they follow from. */
function defaultWords(key: string): string {
  const value = (CONFIG_DEFAULTS as Record<string, string | number | boolean | null>)[key] ?? null;
  if (value === null) return '';
  const words =
    value === true
      ? 'yes'
      : value === false
        ? 'no'
        : Number(value) >= 1e6
          ? `${Number(value) / 1e6}M`
          : value;
  return ` [default: ${words}]`;
}

const prefixed = (fields: typeof MUP_FIELDS) =>
  Object.fromEntries(
    Object.entries(fields).map(([key, field]) => [`mup${key[0]!.toUpperCase()}${key.slice(1)}`, field]),
  );

interface DryRun {
  run: string;
  config: Config;
  plan: TrainingPlan;
}
interface Trained {
  run: string;
  checkpoints: string[];
  status: TrainResult['status'];
  step: number;
  tokens: number;
  /** What to type next, when interrupted. */
  resume?: string;
}

export default class Train extends BaseCommand<typeof Train> {
  static override summary = 'Train one model on a corpus, saving checkpoints.';
  static override description =
    'Defaults < --config FILE < flags; every key of the file is a flag and the other way round, and the resolved ' +
    'configuration is kept as RUN/config.json, itself a valid --config. The first Ctrl-C finishes the step, saves ' +
    'and exits 6; --resume continues a run as if it had never stopped. Counts take the suffixes k, M and B.';
  static override examples = [
    {
      description: 'A small model',
      command: '<%= config.bin %> <%= command.id %> --data corpus --out runs/relu',
    },
    {
      description: 'See what a run would cost, and do nothing',
      command:
        '<%= config.bin %> <%= command.id %> --data corpus --layers 8 --width 256 --tokens 100M --dry-run',
    },
    {
      description: 'From a file, with another seed',
      command:
        '<%= config.bin %> <%= command.id %> --config runs/relu/config.json --seed 1 --out runs/relu-1',
    },
    {
      description: 'Go on after an interruption',
      command: '<%= config.bin %> <%= command.id %> --resume --out runs/relu',
    },
  ];
  static override flags = {
    config: Flags.string({ char: 'c', summary: 'Configuration, YAML or JSON.', helpValue: 'FILE' }),
    out: Flags.string({ char: 'o', summary: 'The run folder; default: runs/ and a name.', helpValue: 'RUN' }),
    resume: Flags.boolean({ summary: 'Continue the run in --out; begin it, if there is none.' }),
    'dry-run': Flags.boolean({
      summary: 'Print parameters, steps, FLOPs, disk and the checkpoint schedule, and end.',
    }),
    tensorboard: Flags.boolean({ summary: "Also write TensorBoard's event files, RUN/tensorboard." }),
    'dump-program': dumpProgramFlag,
    ...configFlags(),
    ...engineFlags,
  };

  async run(): Promise<DryRun | Trained> {
    const { configureRun } = await import('../src/training/configure.js');
    const { config: configPath, out: asked, resume } = this.flags;
    const { config, out } = await configureRun({
      ...(configPath === undefined ? {} : { config: configPath }),
      ...(asked === undefined ? {} : { out: asked }),
      resume,
      flags: this.configValues(),
    });
    if (this.flags['dry-run']) return this.dryRun(out, config);

    await this.announceDisk(out, config);
    const { train } = await import('../src/training/train.js');
    const progress = this.progress();
    const result = await train(config, {
      out,
      resume,
      signal: this.interruption(),
      commandLine: process.argv.slice(2),
      tensorboard: this.flags.tensorboard,
      ...(this.flags['dump-program'] ? { dumpProgramDir: this.flags['dump-program'] } : {}),
      onEvent: (event) => this.report(event, progress),
    });
    const { run, checkpoints, status, step, tokens } = result;
    if (status === 'done') {
      this.log(`${run}: ${formatCount(tokens)} tokens, ${checkpoints.length} checkpoints`);
      return { run, checkpoints, status, step, tokens };
    }
    const next = `${this.config.bin} train --resume --out ${shellWord(run)}`;
    this.notice(`Interrupted and saved at step ${step}. To continue:\n  ${next}`);
    process.exitCode = EXIT.interrupted;
    return { run, checkpoints, status, step, tokens, resume: next };
  }

  /** The configuration keys that were given as flags. */
  private configValues(): Record<string, unknown> {
    const given = this.flags as Record<string, unknown>;
    const values: Record<string, unknown> = {};
    for (const key of Object.keys(CONFIG_FIELDS)) values[key] = given[flagName(key)];
    const mup = Object.keys(PAPER_MUP).flatMap((key) => {
      const value = given[`mup-${flagName(key)}`];
      return value === undefined ? [] : [[key, value] as const];
    });
    if (mup.length > 0) values.mup = Object.fromEntries(mup);
    return values;
  }

  private report(event: TrainEvent, progress: OnProgress): void {
    switch (event.type) {
      case 'start':
        this.notice(`${event.run}: ${event.engine} (${event.precision}) on ${event.deviceDescription}`);
        break;
      case 'resume':
        this.notice(`Continuing after step ${event.step} (${event.checkpoint}).`);
        break;
      case 'warning':
        this.warn(event.message);
        break;
      case 'step':
        progress({
          task: 'train',
          done: event.tokens,
          total: event.totalTokens,
          unit: 'tokens',
          detail: `loss ${event.loss.toFixed(3)}`,
        });
        break;
      case 'logged':
      case 'checkpoint':
        break;
    }
  }

  /** What the run will write, before it does. */
  private async announceDisk(run: string, config: Config): Promise<void> {
    const [{ planRun }, { freeBytes }] = await Promise.all([
      import('../src/training/plan.js'),
      import('../src/io/free-space.js'),
    ]);
    const { disk, checkpoints } = planRun(config);
    const free = await freeBytes(run);
    const words = `${checkpoints.length} checkpoints, about ${formatBytes(disk.totalBytes)} in all`;
    if (free !== undefined && free < disk.totalBytes) {
      this.warn(
        `${run}: ${words}, but ${formatBytes(free)} are free. Save fewer (--checkpoints), or the state of fewer (--keep-state).`,
      );
    } else this.notice(`${run}: ${words}`);
  }

  private async dryRun(run: string, config: Config): Promise<DryRun> {
    const { planRun } = await import('../src/training/plan.js');
    const plan = planRun(config);
    const { parameters, disk } = plan;
    const lines: [string, string][] = [
      ['run', run],
      [
        'parameters',
        `${formatCount(parameters.total)} (${formatCount(parameters.nonEmbedding)} without embedding)`,
      ],
      ['tokens', `${formatCount(plan.tokens)} in ${plan.steps} steps of ${plan.tokensPerStep}`],
      ['tokens per parameter', plan.tokensPerParameter.toPrecision(3)],
      [
        'FLOPs',
        `${plan.flopsTotal.toExponential(2)} (${plan.flopsPerToken.matricesAndAttention.toExponential(2)} a token)`,
      ],
      ['checkpoints', `${plan.checkpoints.length} (${config.checkpoints})`],
      [
        'disk',
        `${formatBytes(disk.totalBytes)} (${formatBytes(disk.weightsBytes)} a checkpoint, ${formatBytes(disk.stateBytes)} a state)`,
      ],
    ];
    const width = Math.max(...lines.map(([name]) => name.length));
    for (const [name, value] of lines) this.log(`${name.padEnd(width)}  ${value}`);
    this.log('\n     step          tokens  learning rate  phase');
    for (const { step, tokens, learningRate, phase } of plan.checkpoints) {
      this.log(
        `${String(step).padStart(9)}  ${String(tokens).padStart(14)}  ${learningRate.toExponential(3).padStart(13)}  ${phase}`,
      );
    }
    return { run, config, plan };
  }
}
