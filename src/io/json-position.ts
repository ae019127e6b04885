/** Every token of JSON, and the whitespace before it. */
const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/uy;

/** What may stand next: a value; a value or `]`; a key; a key or `}`; `:`; what follows a value. */
type Expected = 'value' | 'value]' | 'key' | 'key}' | ':' | 'after';

/**
 * Where JSON.parse stopped: V8 tells only for some mistakes. The first character that cannot continue the text,
 * or its length when it ends too early.
 */
export function jsonErrorPosition(text: string): number {
  const open: string[] = [];
  let expected: Expected = 'value';
  TOKEN.lastIndex = 0;
  for (;;) {
    const end = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    const start = end + /^[ \t\r\n]*/.exec(text.slice(end, end + 10_000))![0].length;
    if (!match) return start;
    const next = follow(expected, match[1], match[2] !== undefined, open);
    if (!next) return start;
    expected = next;
  }
}

/** The state after a token, or undefined where it may not stand. */
function follow(
  expected: Expected,
  mark: string | undefined,
  isString: boolean,
  open: string[],
): Expected | undefined {
  const takesValue = expected === 'value' || expected === 'value]';
  const takesKey = expected === 'key' || expected === 'key}';
  switch (mark) {
    case undefined:
      return takesValue ? 'after' : takesKey && isString ? ':' : undefined;
    case '{':
    case '[':
      if (!takesValue) return undefined;
      open.push(mark);
      return mark === '{' ? 'key}' : 'value]';
    case '}':
    case ']': {
      const isEmpty = expected === (mark === '}' ? 'key}' : 'value]');
      const matches = open.at(-1) === (mark === '}' ? '{' : '[');
      if (!matches || !(isEmpty || expected === 'after')) return undefined;
      open.pop();
      return 'after';
    }
    case ':':
      return expected === ':' ? 'value' : undefined;
    default:
      if (expected !== 'after' || open.length === 0) return undefined;
      return open.at(-1) === '{' ? 'key' : 'value';
  }
}
