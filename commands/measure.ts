import { Args, Flags } from '@oclif/core';
import { usageError } from '../src/errors.js';
import { PROFILE_FORMATS, PROFILE_NAMES } from '../src/files/profile.js';
import { METRIC_NAMES, PROTOCOL_NAMES, type SparsityMeasurement } from '../src/files/sparsity.js';
import type { Target } from '../src/sparsity/targets.js';
import { BaseCommand } from './_base.js';
import { countFlag, dumpProgramFlag, engineFlags, listOptions, numberFlag } from './_flags.js';
import { drawTable } from './_table.js';

export default class Measure extends BaseCommand<typeof Measure> {
  static override summary = 'Measure the activation sparsity of runs, checkpoints or Hugging Face folders.';
  static override description =
    'TARGET is a run folder (all its checkpoints), one checkpoint, or a folder with config.json, safetensors and ' +
    'tokenizer.json as transformers writes it. Several metrics and parameters share their passes. Results of runs ' +
    'go to RUN/sparsity/ and are reused when checkpoint, data, settings, engine and precision are the same.\n\n' +
    'zero: h is exactly 0. fat: |s| < epsilon. topk: not among the k largest |s|. global: |h|·‖w‖ < epsilon. ' +
    'cett: |h|·‖w‖ < eps_l with the mean relative error of each FFN output at a bound. pplp: cett, with the bound ' +
    'at which perplexity rises by p %. activation ratio = 1 − sparsity.';
  static override examples = [
    {
      description: 'Every checkpoint of a run, at 1 %',
      command: '<%= config.bin %> <%= command.id %> runs/relu',
    },
    {
      description: 'Several metrics in one go',
      command: '<%= config.bin %> <%= command.id %> runs/relu --metric pplp,zero,fat --p 1,5 --epsilon 0.1',
    },
    {
      description: "Anyone's checkpoint on a text",
      command: '<%= config.bin %> <%= command.id %> models/pythia-14m --text book.txt --out measured',
    },
    {
      description: 'How often each neuron is active, and perplexity against activation ratio by metric',
      command: '<%= config.bin %> <%= command.id %> runs/relu --profile neurons,pareto --profile-format csv',
    },
    {
      description: 'Look at the programs that are compiled for it',
      command: '<%= config.bin %> <%= command.id %> runs/relu --engine xla --force --dump-program programs',
    },
  ];
  static override strict = false;
  static override args = {
    target: Args.string({
      required: true,
      description: 'Run, checkpoint or Hugging Face folder; several may be given.',
    }),
  };
  static override flags = {
    metric: Flags.option({ options: METRIC_NAMES, ...listOptions })({
      summary: 'What counts as active; default pplp.',
    }),
    p: numberFlag({
      ...listOptions,
      min: 0,
      summary: 'Tolerated rise of perplexity in percent (pplp); default 1.',
    }),
    epsilon: numberFlag({ ...listOptions, min: 0, summary: 'Threshold (fat, global).' }),
    k: numberFlag({ ...listOptions, min: 1e-9, max: 1, summary: 'Share of neurons kept (topk).' }),
    cett: numberFlag({
      ...listOptions,
      min: 0,
      max: 1,
      summary: 'Bound on the relative output error (cett).',
    }),
    pool: Flags.option({ options: ['token', 'layer'] as const })({
      summary: 'topk: rank per token, or over a whole layer as the authors do.',
      default: 'token',
    }),
    score: Flags.option({ options: ['gate', 'output'] as const })({
      summary: 'topk: rank by |s| or by output norm.',
      default: 'gate',
    }),
    data: Flags.string({
      summary: "Corpus to measure on; default: the run's.",
      helpValue: 'DIR',
      exclusive: ['text'],
    }),
    text: Flags.string({
      summary: "Text to measure on, through the checkpoint's tokenizer.",
      helpValue: 'FILE',
    }),
    tokens: countFlag({ min: 1, summary: 'At most this many predictions; default 1,048,576.' }),
    'seq-len': countFlag({
      min: 1,
      summary: "Predictions per window; default: the run's training length, else at most 2048.",
    }),
    bos: Flags.option({ options: ['auto', 'none', 'stream', 'window'] as const })({
      summary: 'A BOS before every window, the stream, or none; auto: as the tokenizer does.',
      default: 'auto',
    }),
    'calibration-tokens': countFlag({
      min: 1,
      summary: 'Tokens on which thresholds are searched; default 65,536.',
    }),
    tolerance: numberFlag({
      min: 1e-7,
      max: 0.5,
      summary:
        'Distance in CETT to the crossing at which the search ends; default 1e-4 (1e-3 in protocol paper).',
    }),
    protocol: Flags.option({ options: PROTOCOL_NAMES })({
      summary: 'How thresholds and perplexity share the text.',
      default: 'dataset',
    }),
    'shared-cett': Flags.string({
      summary: "pplp: search one CETT value on each run's last N checkpoints and apply it to all of them.",
      helpValue: 'last:N',
    }),
    compat: Flags.boolean({ summary: "Search thresholds on the authors' linear grid." }),
    profile: Flags.option({ options: PROFILE_NAMES, ...listOptions })({
      summary:
        'Write distributions beside each result: sweeps (pareto, cett), how often neurons are active, activation ' +
        'by input token and by position, and the neurons that chunks of tokens need.',
    }),
    'profile-format': Flags.option({ options: PROFILE_FORMATS })({
      summary: 'Format of the profiles.',
      default: 'parquet',
    }),
    series: Flags.string({
      summary:
        'Give foreign checkpoints their run, tokens and step (columns checkpoint, run_id, tokens, step).',
      helpValue: 'FILE.csv',
    }),
    out: Flags.string({ char: 'o', summary: 'Write results here.', helpValue: 'DIR' }),
    force: Flags.boolean({ summary: 'Measure again what is there already.' }),
    'dump-program': dumpProgramFlag,
    ...engineFlags,
    devices: countFlag({
      min: 1,
      summary: 'Devices that share the windows; default: all GPUs, or one CPU device.',
      helpGroup: 'ENGINE',
    }),
  };

  async run(): Promise<{ measurements: SparsityMeasurement[]; profiles?: string[] }> {
    const { flags } = this;
    const [{ measureTargets }, { MEASURE_DEFAULTS, settingsOf }, { placeInSeries, resolveTarget }] =
      await Promise.all([
        import('../src/sparsity/measure.js'),
        import('../src/sparsity/options.js'),
        import('../src/sparsity/targets.js'),
      ]);
    const parameters = {
      metrics: [...new Set(flags.metric ?? (['pplp'] as const))],
      p: flags.p ?? [1],
      epsilon: flags.epsilon ?? [],
      k: flags.k ?? [],
      cett: flags.cett ?? [],
      pool: flags.pool,
      score: flags.score,
    };
    settingsOf(parameters);
    const paths = this.argv.length > 0 ? await this.targets() : [];
    const resolved: Target[] = [];
    for (const path of paths) resolved.push(...(await resolveTarget(path)));
    const targets = flags.series === undefined ? resolved : await placeInSeries(resolved, flags.series);
    const profiles: string[] = [];
    const measurements = await measureTargets(targets, {
      ...parameters,
      data: flags.data,
      text: flags.text,
      tokens: flags.tokens ?? MEASURE_DEFAULTS.tokens,
      seqLen: flags['seq-len'],
      bos: flags.bos,
      calibrationTokens: flags['calibration-tokens'] ?? MEASURE_DEFAULTS.calibrationTokens,
      tolerance: flags.tolerance ?? (flags.protocol === 'paper' ? 1e-3 : MEASURE_DEFAULTS.tolerance),
      protocol: flags.protocol,
      sharedCett: lastOf(flags['shared-cett']),
      compat: flags.compat ?? false,
      profiles: flags.profile && {
        names: [...new Set(flags.profile)],
        format: flags['profile-format'],
      },
      onProfile: (path) => profiles.push(path),
      out: flags.out,
      force: flags.force ?? false,
      engine: flags.engine ?? 'auto',
      onEngine: (engine) => this.tellEngine(engine),
      engineOptions: {
        device: flags.device,
        precision: flags.precision,
        devices: flags.devices ?? 'all',
        ...(flags['dump-program'] === undefined ? {} : { dumpProgramDir: flags['dump-program'] }),
        onWarning: (message) => this.warn(message),
      },
      signal: this.interruption(),
      onProgress: this.progress(),
    });
    await this.print(measurements);
    for (const path of profiles) this.log(path);
    return flags.profile ? { measurements, profiles } : { measurements };
  }

  /** The arguments, which oclif keeps apart from flags only by parsing again. */
  private async targets(): Promise<string[]> {
    const { argv } = await this.parse(Measure);
    const paths = argv as string[];
    const flag = paths.find((path) => path.startsWith('-'));
    if (flag) throw usageError(`Nonexistent flag: ${flag}`, { code: 'usage' });
    return paths;
  }

  private async print(measurements: readonly SparsityMeasurement[]): Promise<void> {
    const rows = measurements.map((m) => [
      m.checkpoint,
      m.metric,
      String(m.pPercent ?? m.epsilon ?? m.kRatio ?? m.cett ?? ''),
      `${m.activationRatio.toFixed(5)} ± ${m.activationRatioStandardError.toFixed(5)}`,
      m.perplexity.ratio.toFixed(5),
      m.cett?.toFixed(4) ?? '',
      m.status,
    ]);
    const head = ['checkpoint', 'metric', 'setting', 'activation ratio', 'ppl ratio', 'CETT', 'status'];
    this.log(await drawTable(head, rows));
    for (const m of measurements) {
      if (m.status === 'at-bound') {
        this.notice(
          `${m.checkpoint}: no interior answer for p = ${m.pPercent} %: the search ended at CETT ${m.cett}.`,
        );
      }
    }
  }
}

/** `last:5` → 5. */
function lastOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^last:([1-9]\d*)$/.exec(text);
  if (match) return Number(match[1]);
  throw usageError(`--shared-cett: "${text}" is not of the form last:N.`, {
    code: 'bad-flag',
    suggestions: ['Type --shared-cett last:5.'],
  });
}
