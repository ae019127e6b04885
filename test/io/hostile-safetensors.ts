import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { SparselawError } from '../../src/errors.js';
import { readTensors } from '../../src/io/safetensors.js';

/** A file of a header (an object, or text as it is), data, and a header length that may lie. */
export function fileOf(header: object | string, data: Buffer, claimedLength?: number): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(claimedLength ?? text.length));
  return Buffer.concat([length, text, data]);
}

const HEADER = {
  __metadata__: { format: 'pt' },
  a: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
  b: { dtype: 'BF16', shape: [4], data_offsets: [24, 32] },
  c: { dtype: 'I64', shape: [], data_offsets: [32, 40] },
};

export const validFile = () => fileOf(HEADER, Buffer.alloc(40, 1));

const hostileNumber = fc.oneof(
  fc.constantFrom(-1, 0, 1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 60, 2 ** 63, 1e300),
  fc.integer({ min: 0, max: 48 }),
);
const hostileValue = fc.oneof(
  hostileNumber,
  fc.array(hostileNumber, { maxLength: 4 }),
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    'F32',
    'BF16',
    'F8_E4M3',
    'BOOL',
    '__proto__',
    [],
    {},
    [[1]],
    '\u001b[31m',
  ),
);

/** A header with some values replaced, removed or added. */
const mutatedHeader = fc
  .array(
    fc.tuple(
      fc.constantFrom('a', 'b', 'c', '__metadata__', '__proto__', 'new'),
      fc.constantFrom('dtype', 'shape', 'data_offsets', 'extra', ''),
      fc.option(hostileValue, { nil: undefined }),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((changes) => {
    const header: Record<string, unknown> = structuredClone(HEADER);
    for (const [tensor, key, value] of changes) {
      const entry = Object.hasOwn(header, tensor) ? header[tensor] : undefined;
      const isEntry = typeof entry === 'object' && entry !== null && key !== '';
      const changed = isEntry ? { ...entry, [key]: value } : value;
      Object.defineProperty(header, tensor, {
        value: changed,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return fileOf(header, Buffer.alloc(40, 1));
  });

/** The valid file with bytes overwritten, cut out or repeated. */
const mutatedBytes = fc
  .array(fc.tuple(fc.nat(300), fc.nat(255), fc.constantFrom('set', 'cut', 'end', 'copy')), {
    minLength: 1,
    maxLength: 5,
  })
  .map((edits) =>
    edits.reduce((bytes, [position, value, kind]) => {
      const at = position % Math.max(1, bytes.length);
      if (kind === 'end') return bytes.subarray(0, at);
      if (kind === 'cut') return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (value % 8))]);
      if (kind === 'copy') return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 9))]);
      const changed = Buffer.from(bytes);
      changed[at] = value;
      return changed;
    }, validFile()),
  );

/** A mutated file is read whole or refused in one line with status 3; nothing else may happen. */
export async function checkRefusals(folder: string, runs: number): Promise<void> {
  const path = join(folder, 'mutated.safetensors');
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutatedHeader, mutatedBytes), async (bytes) => {
      writeFileSync(path, bytes);
      try {
        for (const { shape, data } of (await readTensors(path)).values()) {
          if (shape.reduce((a, b) => a * b, 1) !== data.length) throw new Error('shape and data disagree');
        }
      } catch (error) {
        const isRefusal = error instanceof SparselawError && error.exitStatus === 3;
        if (!isRefusal || /\p{Cc}/u.test(error.message)) throw error;
      }
    }),
    { numRuns: runs },
  );
}
