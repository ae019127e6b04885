import { compareNatural } from './format.js';
import { familyHues, MARKERS, type Marker, ramp, type ThemedColor } from './palette.js';

/** What has one colour and one entry in the legends of all charts: a run, or a group of a fit. */
export interface Series {
  /** Unique on the page: the key of its rows, which tooltips and tables of data show. */
  label: string;
  /** What legends, axes and sentences call it; unique as well. */
  name: string;
  /** What its hue and marker stand for: the activation function, where it is known. */
  family: string;
  color: ThemedColor;
  marker: Marker;
}

export interface SeriesFacts {
  label: string;
  /** The label where nothing is said. */
  name?: string;
  activation: string | null;
  /** Orders the members of a family, e.g. non-embedding parameters. */
  size: number | null;
}

/** Sorted by family, size and name, and coloured: a hue a family, pale to strong within it. */
export function assignSeries(facts: readonly SeriesFacts[]): Series[] {
  const byLabel = new Map<string, SeriesFacts>();
  for (const fact of facts) {
    const known = byLabel.get(fact.label);
    byLabel.set(fact.label, {
      label: fact.label,
      name: known?.name ?? fact.name,
      activation: known?.activation ?? fact.activation,
      size: known?.size ?? fact.size,
    });
  }
  const unique = [...byLabel.values()];
  const family = (fact: SeriesFacts) => fact.activation ?? '';
  // One run each of several unknown families would all look alike: then every series is a family of its own.
  const eachItsOwn =
    unique.length <= 8 && new Set(unique.map(family)).size === 1 && family(unique[0]!) === '';
  const familyOf = (fact: SeriesFacts) => (eachItsOwn ? fact.label : family(fact));
  const families = [...new Set(unique.map(familyOf))].sort(compareFamilies);
  const hues = familyHues(families);
  return families.flatMap((name, index) => {
    const members = unique.filter((fact) => familyOf(fact) === name).sort(compareMembers);
    const colors = ramp(hues.get(name)!, members.length);
    return members.map((member, i) => ({
      label: member.label,
      name: member.name ?? member.label,
      family: member.activation ?? '',
      color: colors[i]!,
      marker: MARKERS[index % MARKERS.length]!,
    }));
  });
}

/** Label → name; a label that is none of the series' stays. */
export function namer(series: Iterable<Series>): (label: string) => string {
  const names = new Map([...series].map(({ label, name }) => [label, name]));
  return (label) => names.get(label) ?? label;
}

/** The paper's two first, the rest by name. */
const FAMILY_ORDER = ['relu', 'silu', 'gelu', 'gelu_tanh', 'relu2', 'drelu'];
function compareFamilies(a: string, b: string): number {
  const rank = (name: string) =>
    (FAMILY_ORDER.indexOf(name) + FAMILY_ORDER.length + 1) % (FAMILY_ORDER.length + 1);
  return rank(a) - rank(b) || compareNatural(a, b);
}

const compareMembers = (a: SeriesFacts, b: SeriesFacts) =>
  compareSizes(a.size, b.size) || compareNatural(a.label, b.label);

/** Unknown sizes last. */
const compareSizes = (a: number | null, b: number | null) =>
  a === b ? 0 : a === null ? 1 : b === null ? -1 : a - b;
