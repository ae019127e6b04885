import { Args, Flags } from '@oclif/core';
import type { Evaluation, Mean, WorkRow } from '../src/files/evaluation.js';
import { BaseCommand } from './_base.js';
import { countFlag, engineFlags, listOptions, numberFlag } from './_flags.js';
import { formatCount } from './_progress.js';
import { drawTable } from './_table.js';

export default class Evaluate extends BaseCommand<typeof Evaluate> {
  static override summary = 'Evaluate a checkpoint on tasks and prompts, dense and sparse.';
  static override description =
    `CHECKPOINT is a checkpoint of ours (a run stands for its last) or a Hugging Face folder. --p measures PPL-p% sparsity first, as \`measure\` does, or takes what is measured; --from adds any measurement of the same weights. Results of runs go to RUN/evaluation/, where \`report\` finds them.

A task file holds JSON lines of one format, told by its keys:
  choices    {"context", "choices": [...], "label": 0}
  piqa       {"goal", "sol1", "sol2", "label"}
  hellaswag  {"activity_label", "ctx_a", "ctx_b", "endings": [...], "label"}
  target     {"context", "target"}
  lambada    {"text"}: its last word is asked for
Choices are ranked by log-likelihood per character; a last word is right where greedy decoding gives it. Prompts and tokens are those of lm-evaluation-harness (acc_norm; acc).

--work counts the neurons that tokens processed together need: what an activation ratio saves shrinks with each token that shares the weights.`;
  static override examples = [
    {
      description: 'Two tasks, dense and at three settings',
      command: '<%= config.bin %> <%= command.id %> runs/relu --tasks piqa.jsonl,lambada.jsonl --p 1,5,10',
    },
    {
      description: "Anyone's checkpoint; thresholds from a text",
      command:
        '<%= config.bin %> <%= command.id %> models/pythia-14m --tasks piqa.jsonl --p 1 --text book.txt --out evaluated',
    },
    {
      description: 'A look at its text, and the work that neurons left out save',
      command: '<%= config.bin %> <%= command.id %> runs/relu --prompt "Once upon a time" --work --p 1',
    },
  ];
  static override args = {
    checkpoint: Args.string({ description: 'Checkpoint, run or Hugging Face folder.', required: true }),
  };
  static override flags = {
    tasks: Flags.string({ ...listOptions, summary: 'Task files.', helpValue: 'FILE.jsonl' }),
    limit: countFlag({ min: 1, summary: 'Only the first so many items of each task; default: all.' }),
    p: numberFlag({
      ...listOptions,
      min: 0,
      summary: 'Tolerated rises of perplexity in percent; default: dense only.',
    }),
    from: Flags.string({
      ...listOptions,
      summary: 'Measurements whose settings are evaluated too.',
      helpValue: 'FILE.json',
    }),
    prompt: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Continue this text greedily; may be repeated.',
      helpValue: 'TEXT',
    }),
    'max-new-tokens': countFlag({
      min: 1,
      max: 4096,
      default: 64,
      summary: 'Tokens of a continuation.',
    }),
    work: Flags.boolean({ summary: 'Count FFN FLOPs and weight bytes over chunks and batches of tokens.' }),
    data: Flags.string({
      summary: "Corpus that --p and --work are measured on; default: the run's.",
      helpValue: 'DIR',
      exclusive: ['text'],
    }),
    text: Flags.string({
      summary: 'Text that --p and --work are measured on, in place of a corpus.',
      helpValue: 'FILE',
    }),
    tokens: countFlag({
      min: 1,
      summary: 'At most this many predictions of that text; default as `measure`.',
    }),
    'seq-len': countFlag({ min: 1, summary: 'Predictions per window of that text; default as `measure`.' }),
    bos: Flags.option({ options: ['auto', 'none'] as const })({
      summary: 'A BOS before each context and prompt; auto: as the tokenizer does.',
      default: 'auto',
    }),
    out: Flags.string({ char: 'o', summary: 'Write the result here.', helpValue: 'DIR' }),
    samples: Flags.string({
      summary: "Write each item's log-likelihoods here.",
      helpValue: 'FILE.jsonl',
    }),
    ...engineFlags,
  };

  async run(): Promise<{ evaluations: Evaluation[] }> {
    const { flags } = this;
    const { evaluateCheckpoint } = await import('../src/downstream/evaluate.js');
    const { evaluation, path } = await evaluateCheckpoint(this.args.checkpoint, {
      tasks: flags.tasks ?? [],
      limit: flags.limit,
      prompts: flags.prompt ?? [],
      maxNewTokens: flags['max-new-tokens'],
      work: flags.work ?? false,
      p: flags.p ?? [],
      from: flags.from ?? [],
      data: flags.data,
      text: flags.text,
      tokens: flags.tokens,
      seqLen: flags['seq-len'],
      bos: flags.bos,
      out: flags.out,
      samples: flags.samples,
      engine: flags.engine ?? 'auto',
      onEngine: (engine) => this.tellEngine(engine),
      engineOptions: { device: flags.device, precision: flags.precision },
      signal: this.interruption(),
      onProgress: this.progress(),
    });
    if (!this.jsonEnabled()) await this.print(evaluation);
    this.remark(evaluation);
    if (path) this.notice(`Written to ${path}`);
    return { evaluations: [evaluation] };
  }

  private async print({ tasks, generations, work }: Evaluation): Promise<void> {
    if (tasks.length > 0) {
      const head = ['task (items)', 'setting', 'activation ratio', 'accuracy'];
      const isCompared = tasks.some(({ results }) => results.length > 1);
      if (isCompared) head.push('Δ dense (won, lost)', 'Δ log-likelihood');
      const rows = tasks.flatMap(taskRows).map((row) => row.slice(0, head.length));
      this.log(await drawTable(head, rows));
    }
    if (work.length > 0) {
      const head = [
        'setting',
        'tokens together',
        'neurons',
        'FLOPs/token',
        'bytes/token',
        'saved',
        'saved, down only',
      ];
      this.log(await drawTable(head, work.map(workRow)));
    }
    const prompts = new Set(generations.map(({ prompt }) => prompt));
    for (const prompt of prompts) {
      this.log(`\n${prompt} …`);
      for (const { setting, text, divergesAt } of generations.filter((own) => own.prompt === prompt)) {
        const same = divergesAt === null ? '' : `, differs from token ${divergesAt + 1}`;
        this.log(`\n[${setting}${same}]\n${text.trim() === '' ? JSON.stringify(text) : text.trimEnd()}`);
      }
    }
  }

  private remark({ tasks, work }: Evaluation): void {
    for (const { name, truncated } of tasks) {
      if (truncated > 0)
        this.notice(
          `${name}: ${truncated} context${truncated === 1 ? ' was' : 's were'} cut on the left to the model's length.`,
        );
    }
    if (work.length > 0) {
      this.notice(
        'FLOPs and bytes are those of the FFNs, and no times. "saved": weak neurons are known before the FFN runs; ' +
          '"down only": they are found from h, and spare the down projection only.',
      );
    }
  }
}

const taskRows = ({ name, items, results }: Evaluation['tasks'][number]): string[][] =>
  results.map(({ setting, activationRatio, accuracy, difference }) => [
    `${name} (${items})`,
    setting,
    activationRatio.toFixed(5),
    plusMinus(accuracy),
    difference ? `${plusMinus(difference.accuracy, true)} (+${difference.gained} −${difference.lost})` : '',
    difference ? plusMinus(difference.logLikelihood, true) : '',
  ]);

const workRow = ({ setting, together, grouping, neurons, flops, bytes }: WorkRow): string[] => [
  setting,
  together === 1 ? '1' : `${together} of a ${grouping}`,
  percent(neurons),
  amount(flops.all),
  amount(bytes.all),
  percent(1 - flops.all / flops.dense),
  percent(1 - flops.downOnly / flops.dense),
];

const number = (value: number, signed: boolean) =>
  `${value < 0 ? '−' : signed && value > 0 ? '+' : ''}${Math.abs(value).toFixed(4)}`;
const plusMinus = ({ mean, standardError }: Mean, signed = false): string =>
  number(mean, signed) + (standardError === null ? '' : ` ± ${standardError.toFixed(4)}`);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

const amount = (value: number): string => formatCount(Math.round(value));
