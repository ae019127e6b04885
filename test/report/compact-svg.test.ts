import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compactSvg } from '../../src/report/compact-svg.js';

const pictures = resolve(import.meta.dirname, '../../fixtures/report');

describe('a compact picture', () => {
  it('writes paths in steps, whose rounding does not add up', () => {
    const long = Array.from({ length: 200 }, (_, i) => `${i * 1.04},0`).join('L');
    const path = /d="([^"]+)"/.exec(compactSvg(`<svg><path d="M${long}"/></svg>`))![1]!;
    const steps = [...path.matchAll(/-?\d*\.?\d+/g)].map(Number).filter((_, i) => i % 2 === 0);
    expect(steps.reduce((sum, step) => sum + step, 0)).toBeCloseTo(199 * 1.04, 1);
    expect(path.length).toBeLessThan(long.length * 0.7);
  });

  it('joins markers of one look, each at its place', () => {
    const marker = (x: number, y: number, fill: string) =>
      `<path transform="translate(${x},${y})" d="M2,0A2,2,0,1,1,-2,0A2,2,0,1,1,2,0" fill="${fill}"/>`;
    const joined = compactSvg(
      `<svg>${marker(10, 20, '#111')}${marker(30.06, 20, '#111')}${marker(5, 5, '#222')}</svg>`,
    );
    expect(joined).toBe(
      '<svg><path d="M12,20a2,2,0,1,1-4,0 2,2,0,1,1,4,0M32.1,20a2,2,0,1,1-4,0 2,2,0,1,1,4,0" fill="#111"/>' +
        '<path d="M7,5a2,2,0,1,1-4,0 2,2,0,1,1,4,0" fill="#222"/></svg>',
    );
  });

  it('changes no text', () => {
    for (const name of readdirSync(pictures).filter((own) => own.endsWith('.svg'))) {
      const svg = readFileSync(resolve(pictures, name), 'utf8');
      const texts = (markup: string) => [...markup.matchAll(/>([^<]+)</g)].map((match) => match[1]);
      const compact = compactSvg(svg);
      expect(texts(compact)).toEqual(texts(svg));
      expect(compact.length).toBeLessThan(0.65 * svg.length);
      expect(compact).not.toContain('NaN');
    }
  });
});
