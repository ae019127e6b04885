/** Group values that do not speak for themselves, such as the 5 of `p_percent=5`, in the page's words. */
const WORDS: Record<string, (value: string) => string> = {
  p_percent: (value) => `p = ${value}%`,
  k_ratio: (value) => `k = ${value}`,
  epsilon: (value) => `ε = ${value}`,
  cett: (value) => `CETT ${value}`,
  seed: (value) => `seed ${value}`,
  n_layer: (value) => `${value} layers`,
  d_model: (value) => `width ${value}`,
};

/**
 * One value of a fitted group as legends and sentences call it; empty where it needs no word.
 * @param others whether the series is called by something else besides, as by its run
 */
export function groupWord(column: string, value: string | undefined, others: boolean): string {
  if (column === 'shared_cett' && !others) return value ? `shared bound (${value})` : 'own bound';
  if (!value) return '';
  const word = WORDS[column];
  if (word) return word(value);
  return Number.isFinite(Number(value)) ? `${column} ${value}` : value;
}
