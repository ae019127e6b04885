import type { Leaf } from './trace.js';
import { sameType } from './types.js';

/**
 * Which result takes over the memory of each donated argument (undefined: none has its type). A result whose path
 * ends with the argument's own, such as `state.weights` for `weights`, comes before others of the type, so that
 * each update is done in place.
 */
export function matchDonations(donated: readonly Leaf[], results: readonly Leaf[]): (number | undefined)[] {
  const free = new Set(results.keys());
  const take = (fits: (result: Leaf) => boolean): number | undefined => {
    for (const index of free) {
      if (!fits(results[index]!)) continue;
      free.delete(index);
      return index;
    }
    return undefined;
  };
  const ends = (path: string, end: string) => path === end || path.endsWith(`.${end}`);
  const matches = donated.map(({ path, type }) =>
    take((result) => sameType(result.type, type) && ends(result.path, path)),
  );
  return matches.map((match, i) => match ?? take(({ type }) => sameType(type, donated[i]!.type)));
}
