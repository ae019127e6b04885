import { Args } from '@oclif/core';
import type { Manifest } from '../../src/files/manifest.js';
import { BaseCommand } from '../_base.js';
import { countFlag } from '../_flags.js';
import { drawTable } from '../_table.js';

export default class CorpusShow extends BaseCommand<typeof CorpusShow> {
  static override summary = 'Show what a corpus holds: counts, hashes, licence, a decoded sample.';
  static override description =
    'Every byte is checked against the hashes first; a damaged file is named and ends the command with status 3.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> corpus',
    '<%= config.bin %> <%= command.id %> corpus --sample 200 --json',
  ];
  static override args = {
    corpus: Args.string({ description: 'Folder made by `corpus build`.', required: true }),
  };
  static override flags = {
    sample: countFlag({ summary: 'Tokens of the decoded sample.', default: 60, min: 0, max: 100_000 }),
  };

  async run() {
    const { readManifest } = await import('../../src/files/manifest.js');
    const { openTokens } = await import('../../src/corpus/tokens.js');
    const { sampleText } = await import('../../src/corpus/sample.js');
    const { corpus } = this.args;
    const manifest = await readManifest(corpus);
    (await openTokens(corpus, 'validation')).close();
    const sample = await sampleText(corpus, this.flags.sample);
    if (!this.jsonEnabled()) await this.draw(corpus, manifest, sample);
    return { path: corpus, manifest, sample };
  }

  private async draw(corpus: string, manifest: Manifest, sample: string): Promise<void> {
    const { printable } = await import('../../src/io/printable.js');
    const { splits, split, tokenizer, sources, licence, sha256 } = manifest;
    const counts = (['train', 'validation'] as const).map((name) => {
      const { documents, tokens, bytes, shards } = splits[name];
      const ratio = tokens > 0 ? (bytes / tokens).toFixed(3) : '';
      return [name, documents, tokens, bytes, ratio, shards.length];
    });
    const files = sources.map((source) => {
      const { name, use, documents, bytes } = source;
      return [printable(name), use, documents, bytes, source.sha256.slice(0, 16)];
    });
    this.log(`${corpus}  ${sha256}`);
    this.log(await drawTable(['', 'documents', 'tokens', 'text bytes', 'bytes/token', 'shards'], counts));
    this.log(await drawTable(['source', 'use', 'documents', 'bytes', 'SHA-256'], files));
    this.log(`tokenizer  ${tokenizer.origin}, vocabulary ${tokenizer.vocabSize}, ${tokenizer.sha256}`);
    this.log(
      `split      ${split.method}, seed ${split.seed}` +
        `${split.method === 'files' ? '' : `, validation share ${split.validationShare}`}`,
    );
    this.log(`licence    ${licence === undefined ? 'not noted' : printable(licence)}`);
    if (sample !== '') {
      const lines = sample.split('\n').map((line) => `  ${printable(line, 1000)}`);
      this.log(`sample\n${lines.join('\n')}`);
    }
  }
}
