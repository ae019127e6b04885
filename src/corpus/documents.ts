import { inputError } from '../errors.js';
import { printable } from '../io/printable.js';
import { kindOf, readSource, type SourceOptions } from './sources.js';
import { decodeText } from './text.js';
import { SEPARATOR } from './train-tokenizer.js';

/** A stretch of a document; large documents come in several, so that none need fit into memory. */
export interface DocumentPart {
  text: string;
  isLast: boolean;
}

export interface DocumentOptions extends SourceOptions {
  /** The field of a JSONL line that holds its text. */
  textField: string;
}

/** V8's longest string is 2^29 − 24 characters; no honest line comes near. */
const MAX_LINE_CHARACTERS = 2 ** 28;
/** JSON can spell halves of characters, which UTF-8 cannot hold. */
const LONE_SURROGATES = /\p{Cs}/gu;
/** A longer line is passed on in parts. */
const MAX_TAIL_CHARACTERS = 2 ** 16;

/**
 * The documents of one file in order; empty ones are left out. Plain text: a line `<|endoftext|>` ends a document,
 * which keeps its other lines as they are. JSONL: one document a line. Returns the file's SHA-256 at its end.
 * @throws SparselawError (status 3) naming the file and the line or offset
 */
export async function* readDocuments(
  path: string,
  options: DocumentOptions,
): AsyncGenerator<DocumentPart, string> {
  let sha256 = '';
  const source = readSource(path, options);
  // for await drops a generator's return value.
  const chunks = (async function* () {
    sha256 = yield* source;
  })();
  const text = decodeText(chunks, path);
  yield* kindOf(path).isJsonl ? jsonlDocuments(text, path, options.textField) : textDocuments(text);
  return sha256;
}

/** Cuts a stream of text into documents at its separator lines. */
export async function* textDocuments(chunks: AsyncIterable<string>): AsyncGenerator<DocumentPart> {
  let held: string | undefined;
  const parts: DocumentPart[] = [];
  // One part is held back, for only the next separator or the end of the text tells whether it was the last.
  const add = (text: string) => {
    if (text === '') return;
    if (held !== undefined) parts.push({ text: held, isLast: false });
    held = text;
  };
  const endDocument = () => {
    if (held !== undefined) parts.push({ text: held, isLast: true });
    held = undefined;
  };
  let pending = '';
  let atLineStart = true;
  for await (const chunk of chunks) {
    pending += chunk;
    const { consumed, endsLine } = cutAtSeparators(pending, atLineStart, false, add, endDocument);
    if (consumed > 0) atLineStart = endsLine;
    pending = pending.slice(consumed);
    yield* parts.splice(0);
  }
  cutAtSeparators(pending, atLineStart, true, add, endDocument);
  endDocument();
  yield* parts;
}

/** Hands on what is settled: text up to the last line's start, since that line may yet become a separator. */
function cutAtSeparators(
  text: string,
  atLineStart: boolean,
  isEnd: boolean,
  add: (text: string) => void,
  endDocument: () => void,
): { consumed: number; endsLine: boolean } {
  let start = 0;
  for (let at = text.indexOf(SEPARATOR); at >= 0; at = text.indexOf(SEPARATOR, at + 1)) {
    const startsLine = at === 0 ? atLineStart : text[at - 1] === '\n';
    if (!startsLine) continue;
    const after = at + SEPARATOR.length;
    const lineEnd = text.startsWith('\n', after) ? 1 : text.startsWith('\r\n', after) ? 2 : 0;
    const isWhole = lineEnd > 0 || (isEnd && (after === text.length || text.slice(after) === '\r'));
    if (!isWhole) continue;
    add(text.slice(start, at));
    endDocument();
    start = lineEnd > 0 ? after + lineEnd : text.length;
  }
  if (isEnd) {
    add(text.slice(start));
    return { consumed: text.length, endsLine: false };
  }
  const lastLine = Math.max(start, text.lastIndexOf('\n') + 1);
  const end = text.length - lastLine > MAX_TAIL_CHARACTERS ? safeEnd(text) : lastLine;
  add(text.slice(start, end));
  return { consumed: end, endsLine: end === lastLine };
}

/** Never between the halves of a surrogate pair. */
function safeEnd(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
}

async function* jsonlDocuments(
  chunks: AsyncIterable<string>,
  path: string,
  field: string,
): AsyncGenerator<DocumentPart> {
  let number = 0;
  for await (const line of lines(chunks, path)) {
    number++;
    if (line.trim() === '') continue;
    const text = fieldOf(line, field, `${printable(path)}, line ${number}`);
    if (text !== '') yield { text, isLast: true };
  }
}

async function* lines(chunks: AsyncIterable<string>, path: string): AsyncGenerator<string> {
  let parts: string[] = [];
  let length = 0;
  let number = 1;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      parts.push(chunk.slice(start, end));
      yield parts.length === 1 ? parts[0]! : parts.join('');
      parts = [];
      length = 0;
      number++;
      start = end + 1;
    }
    parts.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > MAX_LINE_CHARACTERS) {
      throw inputError(
        `${printable(path)}, line ${number} is longer than ${MAX_LINE_CHARACTERS} characters.`,
        {
          code: 'line-too-long',
        },
      );
    }
  }
  yield parts.join('');
}

function fieldOf(line: string, field: string, where: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw inputError(`${where} is not valid JSON.`, { code: 'bad-json', cause: error });
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) {
    throw inputError(`${where} has no field "${printable(field)}".`, {
      code: 'missing-field',
      suggestions: ['Name the field that holds the text with --text-field.'],
    });
  }
  const text = (value as Record<string, unknown>)[field];
  if (typeof text === 'string') return text.replace(LONE_SURROGATES, '\ufffd');
  throw inputError(`${where}: the field "${printable(field)}" is not text.`, { code: 'bad-value' });
}
