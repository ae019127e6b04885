/** The few protobuf wire forms that compile options need: varint, length-delimited, 64-bit. */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return bytes;
}

const tag = (field: number, wire: number) => varint(BigInt(field * 8 + wire));

/** An integer, negative ones as 64-bit two's complement; booleans as 0 and 1. */
export const integerField = (field: number, value: number | bigint | boolean): number[] => [
  ...tag(field, VARINT),
  ...varint(BigInt(value)),
];

/** A nested message, a packed list or a string. */
export const bytesField = (field: number, bytes: Iterable<number>): number[] => {
  const content = [...bytes];
  return [...tag(field, DELIMITED), ...varint(BigInt(content.length)), ...content];
};

export const textField = (field: number, text: string): number[] =>
  bytesField(field, new TextEncoder().encode(text));

export const doubleField = (field: number, value: number): number[] => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return [...tag(field, FIXED64), ...bytes];
};

/** A packed list of unsigned integers. */
export const packedField = (field: number, values: readonly number[]): number[] =>
  bytesField(
    field,
    values.flatMap((value) => varint(BigInt(value))),
  );
