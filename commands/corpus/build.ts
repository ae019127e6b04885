import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../_base.js';
import { countFlag, numberFlag } from '../_flags.js';

export default class CorpusBuild extends BaseCommand<typeof CorpusBuild> {
  static override summary = 'Turn text into token shards.';
  static override description =
    'TEXT is plain UTF-8 text or JSONL (.jsonl, .ndjson), as it is or packed (.gz, .xz). In plain text a line ' +
    '<|endoftext|> ends a document; in JSONL each line is one. A byte-level BPE is trained on the training documents ' +
    'unless --tokenizer gives one. Documents go to train or validation by a hash of the seed and the document, so ' +
    'that adding text moves none; a text of a single document is cut by position.\n\n' +
    'DIR appears whole or not at all, and holds manifest.json, tokenizer.json, train/ and validation/. Where it ' +
    'holds the same corpus already, nothing is written.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> book.txt --out corpus --vocab-size 1024',
    '<%= config.bin %> <%= command.id %> part1.txt.xz part2.jsonl.gz --out corpus --validation-share 0.01',
    '<%= config.bin %> <%= command.id %> train.txt --validation valid.txt --tokenizer tokenizer.json --out corpus',
  ];
  static override args = {
    text: Args.string({ description: 'Text files; several may be given.', required: true, multiple: true }),
  };
  static override flags = {
    out: Flags.string({ summary: 'Folder to make.', required: true, helpValue: 'DIR' }),
    tokenizer: Flags.string({
      summary: 'Use this tokenizer.json instead of training one.',
      helpValue: 'FILE',
      exclusive: ['vocab-size'],
    }),
    'vocab-size': countFlag({ summary: 'Entries of the trained tokenizer [default: 4096].' }),
    separator: Flags.string({
      summary: 'Token written after each document [default: <|endoftext|>, or what the tokenizer calls it].',
      helpValue: 'TOKEN',
      dependsOn: ['tokenizer'],
    }),
    validation: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Validation text; then all TEXT is for training. Repeat for more.',
      helpValue: 'FILE',
      exclusive: ['validation-share'],
    }),
    'validation-share': numberFlag({
      summary: 'Share of the documents for validation [default: 0.05].',
      min: 0,
      max: 0.9,
    }),
    seed: countFlag({ summary: 'Seed of the split; default 0.', default: 0, min: 0 }),
    'text-field': Flags.string({
      summary: 'Field of a JSONL line that holds its text [default: text].',
      helpValue: 'NAME',
    }),
    licence: Flags.string({
      summary: "Where the text is from and under which licence, for the corpus's manifest.",
      helpValue: 'TEXT',
    }),
    'max-expansion': numberFlag({
      summary: 'Refuse a packed file that unpacks to more than this many times its size.',
      default: 100,
      min: 1,
    }),
    'tokenizer-bytes': countFlag({
      summary: 'Train the tokenizer on a sample of about this size.',
      default: 100_000_000,
      min: 1,
    }),
    force: Flags.boolean({ summary: 'Replace a corpus made of other text or settings.' }),
  };

  async run() {
    const { buildCorpus } = await import('../../src/corpus/build.js');
    const { flags } = this;
    const { path, manifest, isReused, notices } = await buildCorpus({
      texts: this.args.text,
      validationTexts: flags.validation,
      out: flags.out,
      force: flags.force,
      tokenizer: flags.tokenizer,
      separator: flags.separator,
      vocabSize: flags['vocab-size'],
      validationShare: flags['validation-share'],
      seed: flags.seed,
      textField: flags['text-field'],
      licence: flags.licence,
      maxExpansion: flags['max-expansion'],
      tokenizerBytes: flags['tokenizer-bytes'],
      onProgress: this.progress(),
      signal: this.interruption(),
    });
    for (const notice of notices) this.notice(notice);
    const { train, validation } = manifest.splits;
    this.log(
      `${path}: ${train.tokens} training tokens, ${validation.tokens} validation tokens, ` +
        `vocabulary ${manifest.tokenizer.vocabSize}${isReused ? ' (there already)' : ''}`,
    );
    return {
      path,
      tokens: train.tokens + validation.tokens,
      trainTokens: train.tokens,
      validationTokens: validation.tokens,
      vocabSize: manifest.tokenizer.vocabSize,
      sha256: manifest.sha256,
      isReused,
    };
  }
}
