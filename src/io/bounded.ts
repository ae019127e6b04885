/** Files that are looked at side by side: enough to hide a slow disk, few enough for any `ulimit -n`. */
const AT_ONCE = 32;

/** Maps in order, working on a bounded number of items at a time: a thousand files are not opened together. */
export async function mapBounded<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return results;
}
