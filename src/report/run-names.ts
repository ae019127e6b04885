import { groupBy } from '../table/group-by.js';

export interface NamedRun {
  id: string;
  /** null where nothing says. */
  seed: number | null;
}

/** The end of a run's name that `train` makes of its configuration. */
const CONFIG_HASH = /(?<=.)-[0-9a-f]{10}$/;

/**
 * Id → what the page calls the run: without the hash of its configuration where that is enough to tell it from the
 * other runs of the page, with the seed in its place where that is, else the whole id. No two are called alike, and
 * none by the id of another.
 * @param runs in any order, repeated where several inputs tell of one
 */
export function runNames(runs: readonly NamedRun[]): Map<string, string> {
  const seeds = new Map<string, Set<number>>();
  for (const { id, seed } of runs) {
    const own = seeds.get(id) ?? new Set();
    seeds.set(id, seed === null ? own : own.add(seed));
  }
  const proposed = new Map<string, string>();
  for (const [stem, own] of groupBy(seeds.keys(), (id) => id.replace(CONFIG_HASH, ''))) {
    const known = own.flatMap((id) => (seeds.get(id)!.size === 1 ? [...seeds.get(id)!] : []));
    const areTold = !own.includes(stem) && known.length === own.length && new Set(known).size === own.length;
    for (const [i, id] of own.entries()) {
      proposed.set(id, own.length === 1 ? stem : areTold ? `${stem} seed ${known[i]}` : id);
    }
  }
  const sharing = groupBy(proposed.values(), (name) => name);
  const isOwn = (name: string) => !seeds.has(name) && sharing.get(name)!.length === 1;
  return new Map([...proposed].map(([id, name]) => [id, isOwn(name) ? name : id]));
}
