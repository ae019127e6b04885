// Makes the two small texts of the study from the parts of its corpus: `node texts.mjs PARTS OUT`.
//   validation.txt  every second held-out article, and the first 60,000 characters of every held-out book, shuffled:
//                   Wikipedia and books in about equal shares, so that the first tokens stand for all of them
//   pilot.txt       the first 25 MB of wiki.train.part3 and the first 30 MB of books.train.part1, in whole documents:
//                   what the tokenizer and the pilot's learning rates are learnt on
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [parts, out] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const SEPARATOR = '\n<|endoftext|>\n';

const read = (name) =>
  execFileSync('xz', ['-dc', join(parts, `${name}.txt.xz`)], { maxBuffer: 2 ** 30, encoding: 'utf8' });
const documents = (text) => text.split(SEPARATOR).filter((document) => document.trim() !== '');
const write = (name, all) => writeFileSync(join(out, name), all.map((document) => document + SEPARATOR).join(''));

/** Whole documents from the start, as long as they fit. */
function first(text, bytes) {
  const taken = [];
  let size = 0;
  for (const document of documents(text)) {
    size += Buffer.byteLength(document + SEPARATOR);
    if (size > bytes) break;
    taken.push(document);
  }
  return taken;
}

const order = (document) => createHash('sha256').update(document).digest('hex');
const articles = documents(read('wiki.valid')).filter((_, i) => i % 2 === 0);
const excerpts = documents(read('books.valid')).map((book) => book.slice(0, book.lastIndexOf('\n', 60_000)));
write(
  'validation.txt',
  [...articles, ...excerpts].map((text) => [order(text), text]).sort().map(([, text]) => text),
);
write('pilot.txt', [...first(read('wiki.train.part3'), 25e6), ...first(read('books.train.part1'), 30e6)]);
