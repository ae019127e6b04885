import { type ElementType, isFloat, sizeOf, type TensorType } from './types.js';

/** A constant: its type, its MLIR text and, where all elements are equal, that value. */
export interface Literal {
  readonly type: TensorType;
  readonly text: string;
  readonly splat?: number;
}

type Values = Float32Array | Int32Array | Uint8Array | Uint32Array;

/** Longest list written out as numbers; longer ones are written as the hexadecimal of their bytes. */
const READABLE_LENGTH = 16;

/** A constant whose elements all have one value. */
export function splatLiteral(value: number, type: TensorType): Literal {
  const rounded = roundTo(value, type.element);
  return { type, text: `dense<${numberText(rounded, type.element)}>`, splat: rounded };
}

/** A constant of host values, row-major; splats are found. */
export function denseLiteral(values: Values, type: TensorType): Literal {
  const first = values[0];
  if (first !== undefined && values.every((value) => Object.is(value, first)))
    return splatLiteral(first, type);
  const { shape, element } = type;
  if (sizeOf(shape) === 0) return { type, text: 'dense<>' };
  if (shape.length === 1 && values.length <= READABLE_LENGTH) {
    return { type, text: `dense<[${Array.from(values, (v) => numberText(v, element)).join(', ')}]>` };
  }
  if (element === 'i1')
    return {
      type,
      text: `dense<${nested(
        Array.from(values, (v) => `${v !== 0}`),
        shape,
      )}>`,
    };
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return { type, text: `dense<"0x${bytes.toString('hex').toUpperCase()}">` };
}

const nested = (items: string[], shape: readonly number[]): string => {
  if (shape.length === 0) return items[0]!;
  const stride = items.length / shape[0]!;
  const rows = Array.from({ length: shape[0]! }, (_, i) =>
    nested(items.slice(i * stride, (i + 1) * stride), shape.slice(1)),
  );
  return `[${rows.join(', ')}]`;
};

/** The value as its element type holds it. */
export function roundTo(value: number, element: ElementType): number {
  if (element === 'f32') return Math.fround(value);
  if (element === 'bf16') return toBfloat16(value);
  if (element === 'i1') return value === 0 ? 0 : 1;
  return element === 'i32' ? Math.trunc(value) | 0 : Math.trunc(value);
}

/** One number, and its bits. */
const NUMBER = new Float32Array(1);
const BITS = new Uint32Array(NUMBER.buffer);

/** Nearest bfloat16, ties to even. */
function toBfloat16(value: number): number {
  if (!Number.isFinite(value)) return value;
  NUMBER[0] = value;
  const bits = BITS[0]!;
  BITS[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return NUMBER[0];
}

/** A number as MLIR reads it back exactly: the shortest decimal that rounds to it; hexadecimal bits where none does. */
function numberText(value: number, element: ElementType): string {
  if (element === 'i1') return value !== 0 ? 'true' : 'false';
  if (!isFloat(element)) return String(value);
  if (!Number.isFinite(value)) {
    const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
    const digits = bits.toString(16).toUpperCase().padStart(8, '0');
    return `0x${element === 'f32' ? digits : digits.slice(0, 4)}`;
  }
  if (Object.is(value, -0)) return '-0.0';
  // Nine significant digits always name one float32.
  for (let digits = 1; digits <= 9; digits++) {
    const text = value.toExponential(digits - 1);
    if (Math.fround(Number(text)) === value) return decimal(text);
  }
  return decimal(value.toExponential());
}

/** `1e-7` → `1.0e-7`, `1.5e+0` → `1.5`: MLIR wants a point; small exponents read better without. */
function decimal(exponential: string): string {
  const [mantissa, exponent] = exponential.split('e') as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power <= 9) {
    const text = String(Number(exponential));
    if (!text.includes('e')) return text.includes('.') ? text : `${text}.0`;
  }
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${power}`;
}
