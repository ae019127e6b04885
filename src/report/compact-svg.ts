/** What drawing cannot show, or what a reader takes for granted when it is missing. */
const NEEDLESS =
  / (?:role|class|aria-[a-z]+|pointer-events|stroke-miterlimit|font-family)="[^"]*"| opacity="1"| xmlns:xlink="[^"]*"| version="1.1"/g;
/** Empty shapes that Vega leaves for events. */
const EMPTY = /<path d="" display="none"\/>|<path d="M0,0h0v0h0Z"\/>/g;
/** Many markers in a row that differ in their place alone. */
const MARKERS = /(?:<path transform="translate\([-\d.,e]+\)" d="[^"]+"[^>]*\/>){2,}/g;
const MARKER = /<path transform="translate\(([-\d.e]+),([-\d.e]+)\)" d="([^"]+)"([^>]*)\/>/g;
/** Arguments of each path command, as Vega writes them; true where they are places and not lengths. */
const PLACES: Record<string, boolean[]> = {
  M: [true, true],
  L: [true, true],
  H: [true],
  V: [true],
  A: [false, false, false, false, false, true, true],
};

/**
 * The same picture in a third of the bytes: coordinates to a tenth of a pixel and relative to the point before, markers
 * of one look as one path, no attributes that draw nothing. Only inside tags, so that no text changes.
 */
export function compactSvg(svg: string): string {
  const lean = svg.replace(/<[a-z][^>]*>/g, (tag) => tag.replace(NEEDLESS, '')).replace(EMPTY, '');
  return lean
    .replace(MARKERS, mergeMarkers)
    .replace(/ d="([^"]+)"/g, (_, path: string) => ` d="${relativePath(path)}"`)
    .replace(/<[a-z][^>]*>/g, (tag) =>
      tag.replace(/-?\d+\.\d{2,}/g, (number) => String(Number(Number(number).toFixed(1)))),
    );
}

function mergeMarkers(run: string): string {
  const looks = new Map<string, string[]>();
  for (const [, x, y, path, rest] of run.matchAll(MARKER)) {
    const look = `${path}|${rest}`;
    const steps = relativePath(path!, [Number(x), Number(y)]);
    looks.set(look, [...(looks.get(look) ?? []), steps]);
  }
  return [...looks]
    .map(([look, paths]) => `<path d="${paths.join('')}"${look.slice(look.indexOf('|') + 1)}/>`)
    .join('');
}

/** A path in steps from point to point, begun at `origin`; rounding errors do not add up. */
function relativePath(path: string, origin: readonly [number, number] = [0, 0]): string {
  const round = (value: number) => Math.round(value * 10) / 10;
  let at: [number, number] = [0, 0];
  let start: [number, number] = [0, 0];
  let result = '';
  let last = '';
  for (const [, command, text] of path.matchAll(/([a-zA-Z])([^a-zA-Z]*)/g)) {
    const numbers = text!.match(/-?\d*\.?\d+(?:e-?\d+)?/g)?.map(Number) ?? [];
    const places = PLACES[command!];
    if (!places) {
      // Already in steps (h, v, l), or the end of a figure.
      if (command === 'h') at = [round(at[0] + numbers[0]!), at[1]];
      else if (command === 'v') at = [at[0], round(at[1] + numbers[0]!)];
      else if (command === 'Z' || command === 'z') at = start;
      else if (command !== 'l') return path;
      if (command === 'l') at = [round(at[0] + numbers[0]!), round(at[1] + numbers[1]!)];
      result += command! + numbers.map(round).join(',');
      last = command!;
      continue;
    }
    for (let i = 0; i < numbers.length; i += places.length) {
      const values = numbers.slice(i, i + places.length);
      const axis = command === 'V' ? 1 : 0;
      const steps = values.map((value, j) => {
        if (!places[j]) return round(value);
        const k = (places.length > 1 ? j - (places.length - 2) : axis) as 0 | 1;
        const next = round(value + origin[k]);
        const step = round(next - at[k]);
        at = k === 0 ? [next, at[1]] : [at[0], next];
        return step;
      });
      // The first point stands alone: a path begins with a place.
      const isFirst = result === '' && command === 'M';
      const name = isFirst ? 'M' : command!.toLowerCase();
      if (command === 'M') start = at;
      const joined = steps
        .join(',')
        .replace(/,-/g, '-')
        .replace(/(^|[,-])0\./g, '$1.');
      result +=
        name === last && name !== 'm' ? (joined.startsWith('-') ? joined : ` ${joined}`) : name + joined;
      last = name;
    }
  }
  return result;
}
