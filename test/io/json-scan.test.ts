import { describe, expect, it } from 'vitest';
import { nestsTooDeep, yamlNestsTooDeep } from '../../src/io/json-scan.js';

describe('nesting', () => {
  it('counts open brackets, not those in strings', () => {
    expect(nestsTooDeep('['.repeat(200) + ']'.repeat(200))).toBe(false);
    expect(nestsTooDeep('['.repeat(201))).toBe(true);
    expect(nestsTooDeep('{"a":'.repeat(201))).toBe(true);
    expect(nestsTooDeep(JSON.stringify({ text: `\\"${'['.repeat(500)}` }))).toBe(false);
    expect(nestsTooDeep('[]'.repeat(500))).toBe(false);
  });

  it('sees lists within lists of YAML, and brackets after a lone quote', () => {
    expect(yamlNestsTooDeep('- '.repeat(500))).toBe(true);
    expect(yamlNestsTooDeep(`# 5" wide\n${'['.repeat(500)}`)).toBe(true);
    expect(yamlNestsTooDeep('- a\n'.repeat(500))).toBe(false);
  });
});
