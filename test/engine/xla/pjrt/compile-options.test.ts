import { describe, expect, it } from 'vitest';
import { compileOptions } from '../../../../src/engine/xla/pjrt/compile-options.js';

const hex = (settings: Parameters<typeof compileOptions>[0]) =>
  Buffer.from(compileOptions(settings)).toString('hex');

describe('compileOptions', () => {
  // The bytes that jaxlib's CompileOptions serialises to for the same settings.
  it.each([
    ['one device', {}, '1a0f08ffffffffffffffffff0120012801'],
    [
      'two partitions',
      { partitions: 2 },
      '1a2108ffffffffffffffffff012001280230014a0e080110021a030a01001a030a0101',
    ],
    [
      'two partitions with Shardy',
      { partitions: 2, shardy: true },
      '1a2408ffffffffffffffffff012001280230014a0e080110021a030a01001a030a0101980101',
    ],
    [
      'four partitions',
      { partitions: 4 },
      '1a2b08ffffffffffffffffff012001280430014a18080110041a030a01001a030a01011a030a01021a030a0103',
    ],
    ['two replicas', { replicas: 2 }, '1a1b08ffffffffffffffffff01200228014a0a080210011a040a020001'],
    [
      'an override',
      { overrides: { xla_cpu_enable_fast_math: true } },
      '1a0f08ffffffffffffffffff01200128013a1e0a18786c615f6370755f656e61626c655f666173745f6d61746812021001',
    ],
  ])('writes %s', (_, settings, expected) => {
    expect(hex(settings)).toBe(expected);
  });

  it('writes each kind of value and does not depend on the order of names', () => {
    expect(hex({ overrides: { a: 'x', b: 2, c: 0.5, d: false } })).toBe(
      hex({ overrides: { d: false, c: 0.5, b: 2, a: 'x' } }),
    );
    // Field 4 (double) of entry "c": 0.5 little-endian.
    expect(hex({ overrides: { c: 0.5 } })).toContain('21000000000000e03f');
    // Field 2 (bool) written although it is protobuf's default.
    expect(hex({ overrides: { d: false } })).toMatch(/0a016412021000$/);
  });
});
