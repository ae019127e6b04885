import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  eachFloatTensor,
  floatRoom,
  readFloatTensors,
  readSafetensorsHeader,
  readTensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/io/safetensors.js';
import { checkRefusals, fileOf, validFile } from './hostile-safetensors.js';

const GOLDEN = resolve(import.meta.dirname, '../../fixtures/corpus/python.safetensors');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a file written by the Python library', () => {
  it('reads with its metadata, shapes and values', async () => {
    const tensors = await readTensors(GOLDEN);
    const values = (name: string) => Array.from(tensors.get(name)!.data as Float32Array);
    const f32 = [0, -0, 1, -1.5, Math.fround(0.1), 65504, Math.fround(6e-8), Number.POSITIVE_INFINITY];
    expect(tensors.get('f32')).toMatchObject({ dtype: 'F32', shape: [2, 4] });
    expect(values('f32')).toEqual(f32);
    // 0.1 rounds to 1638 and to 205 units in the last place; 6e-8 to the smallest half, 2^-24.
    expect(values('f16')).toEqual([
      0,
      -0,
      1,
      -1.5,
      1638 / 2 ** 14,
      65504,
      2 ** -24,
      Number.POSITIVE_INFINITY,
    ]);
    expect(tensors.get('bf16')).toMatchObject({ dtype: 'BF16', shape: [4, 2] });
    expect(values('bf16').slice(0, 6)).toEqual([0, -0, 1, -1.5, 205 / 2 ** 11, 65536]);
    expect(tensors.get('i32')!.data).toEqual(Int32Array.of(-1, 2, 3, 2 ** 31 - 1));
    expect(tensors.get('i64')!.data).toEqual(BigInt64Array.of(2n ** 53n + 1n, -1n));
    expect(tensors.get('u8')!.data).toEqual(Uint8Array.of(0, 255, 7));
    expect(tensors.get('scalar')).toMatchObject({ shape: [], data: Float32Array.of(2.5) });
    expect(tensors.get('empty')).toMatchObject({ shape: [0, 3], data: new Float32Array() });
    const { metadata } = await readSafetensorsHeader(GOLDEN);
    expect(Object.fromEntries(metadata)).toEqual({ format: 'pt', note: 'größer' });
  });

  it('gives every tensor an ArrayBuffer of its own', async () => {
    const buffers = [...(await readTensors(GOLDEN)).values()].map(({ data }) => data.buffer);
    expect(new Set(buffers).size).toBe(buffers.length);
  });

  it('names what is missing and what is no weight', async () => {
    await expect(readTensors(GOLDEN, ['absent'])).rejects.toThrow(
      /python.safetensors holds no tensor "absent"/,
    );
    await expect(readFloatTensors(GOLDEN)).rejects.toMatchObject({ code: 'bad-dtype', exitStatus: 3 });
    expect([...(await readFloatTensors(GOLDEN, ['bf16', 'f32'])).keys()]).toEqual(['bf16', 'f32']);
  });
});

describe('writeSafetensors', () => {
  it('round-trips any float32, also under odd names', async () => {
    const path = join(folder, 'round.safetensors');
    await fc.assert(
      fc.asyncProperty(fc.float32Array({ maxLength: 50 }), fc.string(), async (data, name) => {
        fc.pre(name !== '__metadata__' && !/\p{Cs}/u.test(name));
        await writeSafetensors(path, new Map([[name, { dtype: 'F32', shape: [data.length], data }]]));
        expect((await readTensors(path)).get(name)!.data).toEqual(data);
      }),
      { numRuns: 50 },
    );
    const odd = new Map([['__proto__', { dtype: 'U8' as const, shape: [1], data: Uint8Array.of(7) }]]);
    await writeSafetensors(path, odd);
    expect((await readTensors(path)).get('__proto__')!.data).toEqual(Uint8Array.of(7));
  });

  it('rounds to bfloat16 and float16 to nearest even', async () => {
    const path = join(folder, 'halves.safetensors');
    const data = Float32Array.of(
      1 + 2 ** -9,
      1 + 3 * 2 ** -9,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      2 ** -25,
      65519,
      65520,
    );
    const bfloat = Float32Array.of(
      1 + 2 ** -8,
      1 + 3 * 2 ** -8,
      1 + 3 * 2 ** -9,
      -(2 ** -130),
      2 ** -25,
      65519,
      Number.NaN,
    );
    const shape = [data.length];
    await writeSafetensors(
      path,
      new Map([
        ['b', { dtype: 'BF16' as const, shape, data: bfloat }],
        ['h', { dtype: 'F16' as const, shape, data }],
      ]),
    );
    const tensors = await readFloatTensors(path);
    expect(Array.from(tensors.get('b')!.data)).toEqual([
      1,
      1 + 2 ** -6,
      1 + 2 ** -7,
      -(2 ** -130),
      2 ** -25,
      65536,
      Number.NaN,
    ]);
    const half = Array.from(tensors.get('h')!.data);
    expect(half).toEqual([1 + 2 ** -9, 1 + 3 * 2 ** -9, 1, 1 + 2 ** -9, 0, 65504, Number.POSITIVE_INFINITY]);
  });

  it('keeps every float16 and bfloat16 pattern through reading and writing', async () => {
    const path = join(folder, 'patterns.safetensors');
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    for (const dtype of ['F16', 'BF16'] as const) {
      writeFileSync(
        path,
        fileOf({ t: { dtype, shape: [65536], data_offsets: [0, 131072] } }, Buffer.from(patterns.buffer)),
      );
      const read = (await readFloatTensors(path)).get('t')!;
      await writeSafetensors(path, new Map([['t', { dtype, shape: read.shape, data: read.data }]]));
      const again = (await readFloatTensors(path)).get('t')!.data;
      expect(again).toEqual(read.data);
      expect(again[0x3c00]).toBe(dtype === 'F16' ? 1 : Math.fround(0.0078125));
    }
  });

  it('widens bfloat16 bit by bit, however many there are', async () => {
    const path = join(folder, 'bits.safetensors');
    for (const count of [1, 2, 3, 4, 7, 65536]) {
      const patterns = Uint16Array.from({ length: count }, (_, i) => i * 40503);
      const header = { t: { dtype: 'BF16', shape: [count], data_offsets: [0, 2 * count] } };
      writeFileSync(path, fileOf(header, Buffer.from(patterns.buffer)));
      const { buffer } = (await readFloatTensors(path)).get('t')!.data;
      expect(new Uint32Array(buffer)).toEqual(Uint32Array.from(patterns, (pattern) => pattern << 16));
    }
  });

  it.each(['F32', 'BF16', 'F16'] as const)(
    'gives %s tensors part by part, in the memory given',
    async (dtype) => {
      const path = join(folder, `${dtype}.safetensors`);
      const data = Float32Array.from({ length: 2 ** 21 + 5 }, (_, i) => i % 128);
      const small = Float32Array.of(7, 8, 9);
      await writeSafetensors(
        path,
        new Map([
          ['a', { dtype, shape: [data.length], data }],
          ['b', { dtype, shape: [3], data: small }],
        ]),
      );
      const seen: Record<string, Float32Array> = { a: new Float32Array(data.length), b: new Float32Array(3) };
      const onPart = (name: string, part: Float32Array, first: number) => seen[name]!.set(part, first);
      const reading = { room: floatRoom(), onPart };
      const buffers = [];
      for await (const [name, tensor] of eachFloatTensor(path, undefined, reading)) {
        const expected = name === 'a' ? data : small;
        const isExpected = (values: Float32Array) => values.every((value, i) => value === expected[i]);
        expect([tensor.data.length, isExpected(tensor.data)]).toEqual([expected.length, true]);
        expect(isExpected(seen[name]!)).toBe(true);
        buffers.push(tensor.data.buffer);
      }
      expect(buffers[0]).toBe(buffers[1]);
    },
  );

  it('is refused where a part is, though the file ends before the next', async () => {
    const path = join(folder, 'refused.safetensors');
    const data = new Float32Array(2 ** 21);
    await writeSafetensors(path, new Map([['t', { dtype: 'BF16' as const, shape: [data.length], data }]]));
    // After the header is read, the file is left with its first part alone.
    const room = (length: number) => {
      truncateSync(path, statSync(path).size - 2 ** 21);
      return new Float32Array(length);
    };
    const onPart = () => {
      throw new Error('refused');
    };
    await expect(readFloatTensors(path, ['t'], { room, onPart })).rejects.toThrow('refused');
  });

  it('writes the same bytes whatever the order, and leaves no temporary file', async () => {
    const a = { dtype: 'F32' as const, shape: [2], data: Float32Array.of(1, 2) };
    const b = { dtype: 'U8' as const, shape: [3], data: Uint8Array.of(1, 2, 3) };
    const [first, second] = [join(folder, 'ab'), join(folder, 'ba')];
    await writeSafetensors(
      first,
      new Map<string, TensorToWrite>([
        ['a', a],
        ['b', b],
      ]),
    );
    await writeSafetensors(
      second,
      new Map<string, TensorToWrite>([
        ['b', b],
        ['a', a],
      ]),
    );
    expect(await readTensors(first)).toEqual(await readTensors(second));
    expect(statSync(first).size).toBe(statSync(second).size);
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe('hostile files', () => {
  const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  const cases: [string, Buffer, RegExp][] = [
    ['cut off in the length', Buffer.alloc(5), /it has 5 bytes/],
    [
      'a header length beyond the file',
      fileOf({ t: entry }, Buffer.alloc(8), 10_000),
      /claims 10000 bytes, the file/,
    ],
    ['a header length beyond the cap', fileOf({ t: entry }, Buffer.alloc(8), 2 ** 62), /claims 46116860184/],
    ['data cut off', fileOf({ t: entry }, Buffer.alloc(7)), /tensor "t" ends 1 bytes after the file/],
    ['data left over', fileOf({ t: entry }, Buffer.alloc(9)), /1 bytes after the last tensor belong to none/],
    ['overlapping tensors', fileOf({ t: entry, u: entry }, Buffer.alloc(8)), /tensor "u" overlaps/],
    [
      'a gap',
      fileOf({ t: entry, u: { ...entry, data_offsets: [12, 20] } }, Buffer.alloc(20)),
      /tensor "u" leaves a gap/,
    ],
    [
      'an unknown dtype',
      fileOf({ t: { ...entry, dtype: 'F33' } }, Buffer.alloc(8)),
      /tensor "t" has the unknown dtype "F33"/,
    ],
    [
      'a dtype from the prototype',
      fileOf({ t: { ...entry, dtype: 'constructor' } }, Buffer.alloc(8)),
      /unknown dtype/,
    ],
    [
      'a shape of 2^60',
      fileOf({ t: { ...entry, shape: [2 ** 30, 2 ** 30] } }, Buffer.alloc(8)),
      /tensor "t"/,
    ],
    [
      'a shape that overflows to fit',
      fileOf({ t: { ...entry, shape: [2 ** 32, 2 ** 32, 2] } }, Buffer.alloc(8)),
      /needs/,
    ],
    [
      'a negative size',
      fileOf({ t: { ...entry, shape: [-1, -2] } }, Buffer.alloc(8)),
      /shape that is no list/,
    ],
    [
      'a backward range',
      fileOf({ t: { ...entry, data_offsets: [8, 0] } }, Buffer.alloc(8)),
      /offsets that are no range/,
    ],
    [
      'a key twice',
      fileOf(`{"t":${JSON.stringify(entry)},"\\u0074":${JSON.stringify(entry)}}`, Buffer.alloc(8)),
      /key "t" twice/,
    ],
    ['deep JSON', fileOf('['.repeat(100_000), Buffer.alloc(8)), /nests deeper than 3/],
    [
      'many values',
      fileOf(`{"t":[${'0,'.repeat(5_000_000)}0]}`, Buffer.alloc(0)),
      /more than 4000000 values/,
    ],
    ['no JSON', fileOf('{"t":', Buffer.alloc(8)), /not valid JSON/],
    ['metadata that is no text', fileOf({ __metadata__: { a: 1 }, t: entry }, Buffer.alloc(8)), /metadata/],
    [
      'control characters in a name',
      fileOf({ '\u001b[2J': { ...entry, dtype: 0 } }, Buffer.alloc(8)),
      /"\\u\{1b\}\[2J"/,
    ],
  ];
  it.each(cases)('refuses %s in one line', async (name, bytes, message) => {
    const path = join(folder, 'hostile.safetensors');
    writeFileSync(path, bytes);
    const refusal = await readTensors(path).catch((error) => error);
    expect(refusal, name).toMatchObject({ exitStatus: 3 });
    expect(refusal.message).toMatch(message);
    expect(refusal.message).toContain('hostile.safetensors');
    expect(refusal.message).not.toContain('\n');
  });

  it('takes the file that the mutations start from', async () => {
    const path = join(folder, 'valid.safetensors');
    writeFileSync(path, validFile());
    expect([...(await readTensors(path)).keys()].sort()).toEqual(['a', 'b', 'c']);
  });

  it('refuses mutated files or reads them whole, never anything else', async () => {
    await checkRefusals(folder, 1500);
  });
});
