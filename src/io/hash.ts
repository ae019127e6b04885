import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { withFile } from './file-error.js';

/** The SHA-256 of a file's bytes, in lower-case hex, in bounded memory. */
export async function sha256File(path: string): Promise<string> {
  return withFile('read', path, async () => {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(chunk as Buffer);
    return hash.digest('hex');
  });
}

/** The SHA-256 of bytes or of text as UTF-8, in lower-case hex. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/**
 * JSON that is the same text for the same value: keys sorted by code unit, no spaces, `undefined` left out,
 * −0 as 0. For hashing settings.
 * @throws Error for a number that JSON cannot hold, rather than writing null
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`canonicalJson: ${value} has no JSON form`);
    return JSON.stringify(value === 0 ? 0 : value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}
