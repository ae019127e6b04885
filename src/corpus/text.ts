import { isUtf8 } from 'node:buffer';
import { notUtf8, wholeCharacters } from '../io/utf8.js';

const NEWLINE = 10;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Decodes a stream of UTF-8, without its byte order mark.
 * @throws SparselawError (status 3) naming the file, the offset and the line of the first bad byte
 */
export async function* decodeText(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  let line = 1;
  const decode = (bytes: Buffer): string => {
    if (!isUtf8(bytes)) throw notUtf8(path, bytes, offset, line);
    const isStart = offset === 0;
    offset += bytes.length;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) line++;
    const skipped = isStart && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0;
    return bytes.toString('utf8', skipped);
  };
  for await (const chunk of chunks) {
    const bytes = rest.length ? Buffer.concat([rest, chunk]) : chunk;
    // Three bytes are needed to see a byte order mark.
    const end = offset === 0 && bytes.length < 3 ? 0 : wholeCharacters(bytes);
    if (end > 0) yield decode(bytes.subarray(0, end));
    rest = bytes.subarray(end);
  }
  if (rest.length) yield decode(rest);
}
