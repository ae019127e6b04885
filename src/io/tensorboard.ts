/**
 * TensorBoard's event files: records (TFRecord framing: length, masked CRC-32C of it, data, masked CRC-32C of that)
 * that hold `tensorflow.Event` protocol buffers. Written by hand because no kept package writes them without
 * TensorFlow; formats: tensorflow/core/lib/io/record_writer.h and tensorflow/core/util/event.proto.
 */

/** CRC-32C (Castagnoli), reflected polynomial 0x82f63b78; Node's zlib has only the other CRC-32. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The framing stores a checksum rotated and shifted, since a checksum of data with checksums in it is weak. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function frame(data: Uint8Array): Buffer {
  const record = Buffer.alloc(12 + data.length + 4);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(masked(crc32c(record.subarray(0, 8))), 8);
  record.set(data, 12);
  record.writeUInt32LE(masked(crc32c(data)), 12 + data.length);
  return record;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const field = (number: number, wire: keyof typeof WIRE, content: Uint8Array | readonly number[]) =>
  Buffer.from([...varint((number << 3) | WIRE[wire]), ...content]);
const block = (number: number, content: Uint8Array) =>
  Buffer.concat([field(number, 'bytes', varint(content.length)), content]);

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
function float64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

/** Event: 1 wall_time (double), 2 step (int64), 3 file_version, 5 summary, 7 session_log. */
const event = (seconds: number, step: number, content: Uint8Array): Buffer =>
  frame(Buffer.concat([field(1, 'fixed64', float64(seconds)), field(2, 'varint', varint(step)), content]));

/** The first record of a file. */
export const fileVersionRecord = (seconds: number): Buffer =>
  event(seconds, 0, block(3, Buffer.from('brain.Event:2')));

/** Says that a run starts again here: TensorBoard drops what it read of this step and later ones. */
export const restartRecord = (seconds: number, step: number): Buffer =>
  event(seconds, step, block(7, field(1, 'varint', [1])));

/** Summary: values (1) of a tag (1) and a simple_value (2, float). */
export const scalarsRecord = (
  seconds: number,
  step: number,
  scalars: Readonly<Record<string, number>>,
): Buffer =>
  event(
    seconds,
    step,
    block(
      5,
      Buffer.concat(
        Object.entries(scalars).map(([tag, value]) =>
          block(1, Buffer.concat([block(1, Buffer.from(tag)), field(2, 'fixed32', float32(value))])),
        ),
      ),
    ),
  );
