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
