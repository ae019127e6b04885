import fc from 'fast-check';

/** Numbers, strings and structures that files from strangers hold where honest ones hold something small. */
const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[-1, 0, -0, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 60, 1e300, -1e300, 5e-324],
    ...[null, true, false, '', '0', 'NaN', '__proto__', 'constructor', '../../etc/passwd', '/etc/passwd'],
    ...['\u001b[2J\u001b[31m', '\u009b31m', 'a\nb', '\u202eabc', '\u0000', '\ud800', '=1+1'],
    ...[[], {}, [[]], [null], { __proto__: null }],
  ),
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(1e3, 1e5).map((length) => 'x'.repeat(length)),
  fc.constantFrom('nest:50', 'nest:5000', 'nest:200000'),
  fc.constantFrom(10, 10_000).map((length) => Array.from({ length }, (_, i) => i)),
);

type Json = Record<string, unknown> | unknown[];
const isNode = (value: unknown): value is Json => typeof value === 'object' && value !== null;

/** Walks down from the root by the choices and changes what it meets there. */
function mutateAt(root: unknown, choices: readonly number[], value: unknown, how: string): unknown {
  const copy = structuredClone(root);
  let node = copy;
  for (const [depth, choice] of choices.entries()) {
    if (!isNode(node)) break;
    const keys = Object.keys(node);
    if (keys.length === 0) break;
    const key = keys[choice % keys.length]!;
    const child = (node as Record<string, unknown>)[key];
    const isLast = depth === choices.length - 1 || !isNode(child) || Object.keys(child).length === 0;
    if (!isLast) {
      node = child;
      continue;
    }
    const target = node as Record<string, unknown>;
    if (how === 'remove') delete target[key];
    else {
      const name = how === 'add' ? ['__proto__', 'extra', key.toUpperCase(), '\u001b[1m'][choice % 4]! : key;
      Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
    }
    break;
  }
  return copy;
}

/** A JSON file with up to three values replaced, removed or added anywhere in it. */
export function mutatedJson(text: string): fc.Arbitrary<Buffer> {
  const root: unknown = JSON.parse(text);
  const change = fc.tuple(
    fc.array(fc.nat(1000), { minLength: 1, maxLength: 5 }),
    hostileValue,
    fc.constantFrom('replace', 'replace', 'remove', 'add'),
  );
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const changed = changes.reduce<unknown>(
      (value, [path, hostile, how]) => mutateAt(value, path, hostile, how),
      root,
    );
    return Buffer.from(JSON.stringify(changed).replace(/"nest:(\d+)"/g, (_, depth) => nested(Number(depth))));
  });
}

/** As text: no function that walks a value could make it. */
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** Cells, lines and marks that text formats trip over. */
const SNIPPETS = [
  ...[
    '"',
    '""',
    ',',
    '\n',
    '\r\n',
    '\r',
    '#',
    '\t',
    '\0',
    ':',
    '- ',
    '&a ',
    '*a',
    '<<: *a',
    '!!js/function ',
    '{',
    '}',
  ],
  ...[
    '[',
    ']',
    '[[[[[[[[[[',
    '\u001b[2J',
    '\u009b',
    '\ufeff',
    '__proto__',
    '=cmd()',
    '-1e999',
    'NaN',
    '1e400',
    '%',
  ],
  ...['1_000', '0x10', '\u202e', '\ud83d', '&a [*a,*a]', '9'.repeat(400), 'x'.repeat(100_000)],
];

/** Any file with bytes set, cut out, repeated, snippets put in, or its end cut off. */
export function mutatedBytes(bytes: Buffer): fc.Arbitrary<Buffer> {
  const edit = fc.tuple(
    fc.nat(2 ** 30),
    fc.nat(255),
    fc.constantFrom('set', 'bit', 'cut', 'end', 'copy', 'snippet', 'snippet'),
  );
  return fc.array(edit, { minLength: 1, maxLength: 5 }).map((edits) =>
    edits.reduce((current, [position, value, kind]) => {
      const at = position % Math.max(1, current.length);
      const [before, after] = [current.subarray(0, at), current.subarray(at)];
      switch (kind) {
        case 'end':
          return before;
        case 'cut':
          return Buffer.concat([before, after.subarray(1 + (value % 16))]);
        case 'copy':
          return Buffer.concat([before, current.subarray(Math.max(0, at - value))]);
        case 'snippet':
          return Buffer.concat([before, Buffer.from(SNIPPETS[value % SNIPPETS.length]!), after]);
        default: {
          const changed = Buffer.from(current);
          if (changed.length > 0) changed[at] = kind === 'set' ? value : changed[at]! ^ (1 << (value % 8));
          return changed;
        }
      }
    }, bytes),
  );
}
