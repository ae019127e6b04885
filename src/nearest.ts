/** Edits (insert, delete, replace, swap of neighbours) that turn one word into the other. */
function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => {
    const row = new Array<number>(b.length + 1).fill(0);
    row[0] = i;
    return row;
  });
  for (let j = 0; j <= b.length; j++) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replace = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replace, rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = best;
    }
  }
  return rows[a.length]![b.length]!;
}

/** Longer words are not compared: the table would grow with their product, and no name of ours is so long. */
const MAX_LENGTH = 64;

/** The candidate nearest in spelling, case, `-` and `_` left aside; undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const plain = (text: string) => text.toLowerCase().replace(/[-_\s]/g, '');
  const target = plain(word);
  let best: string | undefined;
  // More than half the word changed is not a slip of the pen.
  let bestDistance = Math.floor(Math.max(target.length, 2) / 2) + 1;
  for (const candidate of candidates) {
    const edits = distance(target, plain(candidate));
    if (edits < bestDistance) [best, bestDistance] = [candidate, edits];
  }
  return best;
}
