import { isUtf8 } from 'node:buffer';
import { inputError } from '../errors.js';
import { printable } from './printable.js';

/**
 * UTF-8 bytes as text; a byte order mark is dropped.
 * @throws SparselawError (status 3) naming file, line and offset of the first bad byte
 */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  if (!isUtf8(bytes)) throw notUtf8(path, bytes, 0, 1);
  return new TextDecoder().decode(bytes);
}

/**
 * The error for bytes that are not UTF-8.
 * @param bytes holds the first bad byte; starts at a character
 * @param offset position of `bytes` in the file
 * @param line line number (from 1) at which `bytes` starts
 */
export function notUtf8(path: string, bytes: Uint8Array, offset: number, line: number): Error {
  const bad = firstBadByte(bytes);
  let badLine = line;
  for (let i = 0; i < bad; i++) if (bytes[i] === 10) badLine++;
  return inputError(
    `${printable(path)} is not UTF-8 text: bad byte at offset ${offset + bad}, line ${badLine}.`,
    { code: 'not-utf8', suggestions: ['Convert it first, e.g. `iconv -f LATIN1 -t UTF-8`.'] },
  );
}

/** By bisection: a prefix, but for a character that it cuts, is bad once it holds the bad byte. */
function firstBadByte(bytes: Uint8Array): number {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isUtf8(bytes.subarray(0, wholeCharacters(bytes.subarray(0, middle))))) good = middle;
    else bad = middle;
  }
  return wholeCharacters(bytes.subarray(0, good));
}

/** The length without a last character that is cut off. */
export function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    // A byte 10xxxxxx continues a character; 11xxxxxx begins one of 2, 3 or 4 bytes.
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? bytes.length - back : bytes.length;
    }
  }
  return bytes.length;
}
