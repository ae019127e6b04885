import { printable } from './printable.js';

export interface JsonLimits {
  maxDepth: number;
  /** Values and keys in all. */
  maxValues: number;
}

/** Strings, and the characters that give JSON its structure. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;

/**
 * What JSON.parse would not tell about a text from a stranger: keys that stand twice in one object, nesting and
 * number of values over a limit. The text need not be valid JSON.
 * @returns what is wrong, or undefined
 */
export function scanJson(text: string, { maxDepth, maxValues }: JsonLimits): string | undefined {
  const keys: (Set<string> | undefined)[] = [];
  let values = 0;
  let lastString = '';
  for (const [token] of text.matchAll(TOKENS)) {
    switch (token) {
      case '{':
      case '[':
        keys.push(token === '{' ? new Set() : undefined);
        if (keys.length > maxDepth) return `nests deeper than ${maxDepth}`;
        values++;
        break;
      case '}':
      case ']':
        keys.pop();
        break;
      case ',':
        values++;
        break;
      case ':': {
        const seen = keys.at(-1);
        const key = unescaped(lastString);
        if (seen?.has(key)) return `holds the key "${printable(key)}" twice`;
        seen?.add(key);
        break;
      }
      default:
        lastString = token;
    }
    if (values > maxValues) return `holds more than ${maxValues} values`;
  }
  return undefined;
}

function unescaped(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal;
  }
}

/** Nesting that no honest file needs; walking a value of some thousand levels exhausts the stack. */
const MAX_NESTING = 200;

/** Whether JSON text nests deeper than any honest file. */
export function nestsTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (inString) {
      if (character === BACKSLASH) i++;
      else if (character === QUOTE) inString = false;
    } else if (character === QUOTE) inString = true;
    else if (character === 0x5b || character === 0x7b) {
      if (++depth > MAX_NESTING) return true;
    } else if (character === 0x5d || character === 0x7d) depth--;
  }
  return false;
}

/** `nestsTooDeep` for YAML, where a quote may stand in a comment and a list may begin in a line of another. */
export const yamlNestsTooDeep = (text: string): boolean =>
  nestsTooDeep(text.replaceAll('"', '')) || DEEP_LIST.test(text);

const DEEP_LIST = new RegExp(`(?:[-?:]\\s+){${MAX_NESTING}}`);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
