import { escapeHtml, type Html, raw } from './html.js';

const SYMBOLS: Record<string, string> = {
  alpha: 'α',
  beta: 'β',
  gamma: 'γ',
  delta: 'δ',
  epsilon: 'ε',
  lambda: 'λ',
  sigma: 'σ',
  cdot: '·',
  times: '×',
  le: '≤',
  ge: '≥',
  sum: 'Σ',
  infty: '∞',
};
const FUNCTIONS = new Set(['exp', 'ln', 'log', 'max', 'min', 'tanh']);

/**
 * A formula in the small part of TeX that the laws use (letters, numbers, ^ and _ with groups, \frac, named functions,
 * Greek letters, \, and \left \right) as HTML, so that a page needs no font and no script for it. What is not known is
 * shown as it is written.
 */
export function formulaHtml(tex: string): Html {
  const parser = new FormulaReader(tex);
  return raw(
    `<span class="formula" role="math" aria-label="${escapeHtml(speakable(tex))}">${parser.sequence('')}</span>`,
  );
}

/** The formula as plain text, for screen readers and titles. */
export function speakable(tex: string): string {
  return tex
    .replace(/\\frac\{([^{}]*)\}\{([^{}]*)\}/g, '($1)/($2)')
    .replace(/\\left|\\right|\\,|\\;/g, ' ')
    .replace(/\\([a-zA-Z]+)/g, (_, name: string) => SYMBOLS[name] ?? name)
    .replace(/[{}]/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Reads TeX from left to right, writing HTML. */
class FormulaReader {
  private at = 0;
  constructor(private readonly tex: string) {}

  /** Everything up to `end` (which is consumed), or to the end of the formula. */
  sequence(end: string): string {
    let out = '';
    while (this.at < this.tex.length && this.tex[this.at] !== end) out += this.item();
    this.at++;
    return out;
  }

  private item(): string {
    const character = this.tex[this.at++]!;
    if (character === '{') return this.sequence('}');
    if (character === '^') return `<sup>${this.argument()}</sup>`;
    if (character === '_') return `<sub>${this.argument()}</sub>`;
    if (character === '\\') return this.command();
    if (character === ' ') return '';
    if (character === '-') return /[\^_({]\s*$/.test(this.tex.slice(0, this.at - 1)) ? '−' : ' − ';
    if (character === '+' || character === '=') return ` ${character} `;
    if (character === ',') return ', ';
    if (character === '/') return '/';
    return /[a-zA-Z]/.test(character) ? `<i>${character}</i>` : escapeHtml(character);
  }

  private argument(): string {
    while (this.tex[this.at] === ' ') this.at++;
    return this.at < this.tex.length ? this.item() : '';
  }

  private command(): string {
    const name = /^[a-zA-Z]+|^./.exec(this.tex.slice(this.at))?.[0] ?? '';
    this.at += name.length;
    if (name === ',' || name === ';' || name === ' ') return '\u2009';
    if (name === 'left' || name === 'right') return '';
    if (name === 'frac') {
      const [top, bottom] = [this.argument(), this.argument()];
      return `<span class="frac"><span>${top}</span><span>${bottom}</span></span>`;
    }
    if (FUNCTIONS.has(name)) return `<span class="fn">${name}</span>`;
    const symbol = SYMBOLS[name];
    if (symbol) return /\p{L}/u.test(symbol) ? `<i>${symbol}</i>` : symbol;
    return escapeHtml(`\\${name}`);
  }
}
