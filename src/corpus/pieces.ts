import type { TokenizerJson } from './tokenizer-schema.js';

/**
 * Where a text may be cut so that encoding the parts gives the ids of the whole.
 * `whitespace`: before a space or line end that follows a printed character. `space`: before a space only.
 * `none`: nowhere that could be proved.
 */
export type CutRule = 'whitespace' | 'space' | 'none';

/** Pieces of this many characters keep all cores busy and little in memory. */
export const PIECE_CHARACTERS = 20_000;
/** A run without a safe place longer than this is cut anyway, at a character: no honest word is as long. */
const MAX_PIECE_CHARACTERS = 2 ** 20;
/** The same for tokenizers without safe places, whose pieces are whole documents. */
const MAX_DOCUMENT_CHARACTERS = 2 ** 26;

/**
 * Word patterns of published tokenizers in which no alternative holds a space but at its start, or in a run of
 * whitespace: GPT-2's is built into ByteLevel; these are written out in the file.
 */
const SPACE_SAFE_PATTERNS = new Set([
  // GPT-4 (cl100k), Llama 3
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  // Qwen 2 and 3
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
]);

/** The rule that holds for a tokenizer; anything not known to be safe gives `none`. */
export function cutRule({ added_tokens: added, normalizer, pre_tokenizer: first }: TokenizerJson): CutRule {
  // NFC joins no character with a space before or after it; other normalisers may look further.
  if (normalizer && normalizer.type !== 'NFC') return 'none';
  // An added token is found before all else: it must not reach over a cut, nor eat the spaces around it.
  if (added.some((token) => token.lstrip || token.rstrip || token.single_word || /\s/.test(token.content))) {
    return 'none';
  }
  const steps = first?.type === 'Sequence' ? (first.pretokenizers as unknown) : [first];
  if (!Array.isArray(steps) || steps.length === 0) return 'none';
  const rules = steps.map(ruleOfStep);
  if (rules.includes('none')) return 'none';
  if (rules[0] === 'any') return rules.includes('whitespace') ? 'whitespace' : 'none';
  return rules[0] as CutRule;
}

/** `any`: the step cuts on its own and joins nothing. */
function ruleOfStep(step: unknown): CutRule | 'any' {
  const { type, add_prefix_space, use_regex, pattern, behavior, invert } = (step ?? {}) as Record<
    string,
    unknown
  >;
  if (type === 'Digits') return 'any';
  if (type === 'ByteLevel' && add_prefix_space === false) return use_regex === false ? 'any' : 'whitespace';
  const regex = (pattern as { Regex?: unknown } | undefined)?.Regex;
  if (type === 'Split' && behavior === 'Isolated' && !invert && SPACE_SAFE_PATTERNS.has(String(regex))) {
    return 'space';
  }
  return 'none';
}

const PLACES = {
  // Lone surrogates, unassigned and control characters before the space are left alone.
  whitespace: /(?<=[^\s\p{C}\p{Z}])[ \n]/gu,
  space: /(?<=[^\s\p{C}\p{Z}]) /gu,
} as const;

/** Cuts a document, given in parts, into pieces that are encoded on their own. */
export class PieceCutter {
  private pending = '';

  constructor(
    private readonly rule: CutRule,
    private readonly size = PIECE_CHARACTERS,
  ) {}

  /** Adds a part of the document and returns the pieces that are complete. */
  push(part: string): string[] {
    this.pending += part;
    const pieces: string[] = [];
    let start = 0;
    for (;;) {
      const end = this.nextCut(start);
      if (end === undefined) break;
      pieces.push(this.pending.slice(start, end));
      start = end;
    }
    this.pending = this.pending.slice(start);
    return pieces;
  }

  /** Ends the document: what is left of it, at most one piece. */
  end(): string[] {
    const rest = this.pending;
    this.pending = '';
    return rest === '' ? [] : [rest];
  }

  private nextCut(start: number): number | undefined {
    const limit = this.rule === 'none' ? MAX_DOCUMENT_CHARACTERS : MAX_PIECE_CHARACTERS;
    if (this.pending.length - start <= this.size) return undefined;
    if (this.rule !== 'none') {
      const place = PLACES[this.rule];
      place.lastIndex = start + this.size;
      const index = place.exec(this.pending)?.index;
      if (index !== undefined && index - start <= limit) return index;
    }
    if (this.pending.length - start <= limit) return undefined;
    // Never between the halves of a surrogate pair.
    const low = this.pending.charCodeAt(start + limit);
    return start + limit - (low >= 0xdc00 && low <= 0xdfff ? 1 : 0);
  }
}
