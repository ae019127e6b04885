import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resolveConfig } from '../../src/config.js';
import { metricsRowSchema } from '../../src/files/run.js';
import { readJsonl } from '../../src/io/jsonl.js';
import { crc32c } from '../../src/io/tensorboard.js';
import { train } from '../../src/training/train.js';
import { TINY, writeTinyCorpus } from '../training/corpus.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-tensorboard-'));
  await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(() => rm(folder, { recursive: true }));

it('computes CRC-32C', () => {
  // RFC 3720, appendix B.4, and the check value of the polynomial.
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
});

/** A checksum written another way: bit by bit, on the unreflected polynomial. */
function slowCrc32c(bytes: Uint8Array): number {
  const reflect = (value: number, bits: number) => {
    let result = 0;
    for (let i = 0; i < bits; i++) if ((value >>> i) & 1) result |= 1 << (bits - 1 - i);
    return result >>> 0;
  };
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc = (crc ^ (reflect(byte, 8) << 24)) >>> 0;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80000000 ? (crc << 1) ^ 0x1edc6f41 : crc << 1) >>> 0;
  }
  return (reflect(crc, 32) ^ 0xffffffff) >>> 0;
}

const unmasked = (crc: number) => {
  const rotated = (crc - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
};

/** The records of a file, every checksum checked. */
function* records(file: Buffer): Generator<Buffer> {
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(unmasked(file.readUInt32LE(at + 8))).toBe(slowCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmasked(file.readUInt32LE(at + 12 + length))).toBe(slowCrc32c(data));
    yield data;
    at += 12 + length + 4;
  }
}

/** The fields of a protocol buffer, by number; every wire type that events use. */
function fields(bytes: Buffer): Map<number, (number | Buffer)[]> {
  const found = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    let value: number | Buffer;
    if (wire === 0) value = varint();
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : varint();
      value = bytes.subarray(at, at + length);
      at += length;
    }
    found.set(key >> 3, [...(found.get(key >> 3) ?? []), value]);
  }
  expect(at).toBe(bytes.length);
  return found;
}

it('writes what metrics.jsonl holds, and where a resumed run starts again', async () => {
  const run = join(folder, 'run');
  const config = resolveConfig({
    flags: { ...TINY, data: join(folder, 'corpus'), tokens: 32 * 20, checkpoints: 'every:160' },
    corpusVocabSize: 32,
  });
  const stopper = new AbortController();
  await train(config, {
    out: run,
    tensorboard: true,
    signal: stopper.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 12) stopper.abort();
    },
  });
  // Event files are told apart by the second they begin in.
  await new Promise((done) => setTimeout(done, 1100));
  await train(config, { out: run, resume: true, tensorboard: true });

  const seen = new Map<string, number>();
  const restarts: number[] = [];
  const names = (await readdir(join(run, 'tensorboard'))).sort();
  expect(names).toHaveLength(2);
  for (const name of names) {
    const all = [...records(await readFile(join(run, 'tensorboard', name)))].map(fields);
    expect(String(all[0]!.get(3)![0])).toBe('brain.Event:2');
    for (const event of all) {
      expect((event.get(1)![0] as Buffer).readDoubleLE()).toBeGreaterThan(1.7e9);
      const step = event.get(2)![0] as number;
      if (event.has(7)) restarts.push(step);
      for (const value of event.has(5) ? fields(event.get(5)![0] as Buffer).get(1)! : []) {
        const scalar = fields(value as Buffer);
        seen.set(`${scalar.get(1)![0]} ${step}`, (scalar.get(2)![0] as Buffer).readFloatLE());
      }
    }
  }
  const { rows } = await readJsonl(join(run, 'metrics.jsonl'), metricsRowSchema);
  for (const row of rows) {
    expect(seen.get(`tokens ${row.step}`)).toBe(row.tokens);
    const [name, value] =
      'learning_rate' in row
        ? ['train/loss_nats_per_token', row.loss_nats_per_token]
        : ['validation/loss_nats_per_token', row.validation_loss_nats_per_token];
    expect(seen.get(`${name} ${row.step}`)).toBe(Math.fround(value));
  }
  expect(rows.length).toBeGreaterThan(20);
  expect(restarts).toHaveLength(1);
  expect(restarts[0]).toBeGreaterThan(12);
});
