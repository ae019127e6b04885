import { formatInterval, formatValue } from './format.js';
import { axisOf, type FitView, type ReportModel } from './model.js';
import { comparisonOf, hasPattern, isLimitKnown, lawTitle, NO_LAW, WIDE } from './text.js';

/** What a reader may do next, in the order of what stands in the way. */
export const ADVICE = [
  'measure',
  'other-law',
  'go-on',
  'rivals',
  'no-trend',
  'curve',
  'seed',
  'compare',
] as const;
type Kind = (typeof ADVICE)[number];

/** What a kind of advice is called where several series share it. */
interface Step {
  title: string;
  why: string;
  /** For a cell of a table; what differs from series to series goes on after it. */
  short: string;
}

export interface Advice {
  kind: Kind;
  step: Step;
  /** A sentence or two for one series. */
  text: string;
  /** What differs from series to series, for a list of them; empty where nothing does. */
  detail: string;
}

/** What a longer x takes: null where training on does it, else the things to measure more of. */
function placesOf(x: string): string | null {
  if (/^(tokens|unique_tokens|steps?|epochs)$/.test(x)) return null;
  if (/^(n_layer|n_head|d_model|d_ff|width_depth_ratio)$/.test(x)) return 'shapes';
  if (/^params/.test(x)) return 'sizes';
  return `values of ${x.replaceAll('_', ' ')}`;
}

function stepOf(kind: Kind, places: string | null): Step {
  const more = { title: `Measure more ${places ?? 'checkpoints'}`, short: `more ${places ?? 'checkpoints'}` };
  switch (kind) {
    case 'measure':
      return { ...more, why: 'Too few points for the law.' };
    case 'other-law':
      return { title: 'Try another law', why: 'This one did not converge.', short: 'another law' };
    case 'go-on':
      return places
        ? { ...more, why: 'Those measured do not tell where the curve ends.' }
        : {
            title: 'Train on',
            why: 'The data end where the curve still bends; the limit is an extrapolation.',
            short: 'train on',
          };
    case 'rivals':
      return {
        title: 'Compare the laws',
        why: `Two with nearly the same evidence put the limit elsewhere; ${places ? `more ${places}` : 'longer runs'} tell them apart.`,
        short: 'compare laws',
      };
    case 'no-trend': {
      const why = 'No trend stands out from the noise.';
      return places ? { ...more, why } : { title: 'Train longer', why, short: 'train longer' };
    }
    case 'curve':
      return {
        title: 'Read curve and limit only',
        why: 'The other parameters are not determined one by one.',
        short: 'read the curve',
      };
    case 'seed':
      return {
        title: 'Repeat with another seed',
        why: 'The law is well determined, but one run cannot show the spread between runs.',
        short: 'another seed',
      };
    case 'compare':
      return {
        title: 'Compare shapes and activations',
        why: 'The law is well determined.',
        short: 'other shapes',
      };
  }
}

/** What would help most; rules, the first that holds. */
export function whatNext(view: FitView, model: ReportModel): Advice {
  const { fit, file } = view;
  const places = placesOf(file.x);
  const advice = (kind: Kind, text: string, detail = ''): Advice => ({
    kind,
    step: stepOf(kind, places),
    text,
    detail,
  });
  const more = `more ${places ?? 'checkpoints'}`;
  if (fit.verdict === 'too-few-points')
    return advice('measure', `Measure ${more}: the law has about as many parameters as there are points.`);
  if (fit.verdict === 'not-converged')
    return advice('other-law', 'Try another law (--law auto), or leave out the first points (--drop-first).');
  if (fit.law === NO_LAW) {
    const rest = places ? `measure ${more}` : 'train longer';
    return advice(
      'no-trend',
      hasPattern(fit)
        ? `The points have a trend, but none of the laws tried follows it: try --law auto, leave out the first points (--drop-first), or ${rest}.`
        : `No trend stands out from the noise: ${places ? rest : `train longer, or measure ${more}`}.`,
    );
  }
  if (!fit.limit || !isLimitKnown(view))
    return places ? measureWhere(view, advice, places) : trainOn(view, advice);
  const rival = rivalLimit(view, model);
  if (rival)
    return advice(
      'rivals',
      `Read the comparison of laws: with nearly the same evidence, ${rival}. ${places ? `More ${places}` : 'Longer runs'} tell them apart.`,
    );
  if (fit.verdict !== 'ok')
    return advice('curve', 'Use the limit and the curve; do not read the other parameters one by one.');
  const seeds = new Set(model.rows.filter((row) => row.label === view.label).map(({ row }) => row.seed));
  return seeds.size <= 1
    ? advice('seed', 'Repeat with another seed: one run cannot show the spread between runs.')
    : advice('compare', 'Compare with other shapes and activations; the law is well determined here.');
}

type Advise = (kind: Kind, text: string, detail?: string) => Advice;

function trainOn(view: FitView, advice: Advise): Advice {
  const { field } = axisOf(view.file.x);
  if (!view.fit.limit)
    return advice(
      'go-on',
      `Train on: no law with a limit does better over these ${field}, so there is no telling yet where the curve ends.`,
    );
  const target = targetOf(view);
  return advice(
    'go-on',
    `Train on${target && ` to about ${target} ${field}`}: the data end where the curve still falls or rises, so the limit is an extrapolation.`,
    target && `to ${target}`,
  );
}

/** Models are not trained on to another shape or size: which others to measure, and why. */
function measureWhere({ fit, file }: FitView, advice: Advise, places: string): Advice {
  const x = axisOf(file.x);
  const more = `Measure more ${places}`;
  if (!fit.xRange) return advice('go-on', `${more}.`);
  const [first, last] = fit.xRange.map((value) => value * file.xUnit) as [number, number];
  const beyond = `beyond ${formatValue(last, x.kind, 3)}`;
  if (!fit.limit) {
    const range = `${x.title.toLowerCase()} ${formatInterval([first, last], x.kind)}`;
    return advice(
      'go-on',
      `No limit within the range measured (${range}): the ${lawTitle(fit.law).toLowerCase()}, which has none, does better. ${more} ${beyond} to see whether the curve ends.`,
      beyond,
    );
  }
  const within = fit.convergence.find(({ withinPercent }) => withinPercent === 5)?.x;
  const near = within == null ? null : within * file.xUnit;
  // Where the curve is level within the data, points on the level part tell how high it lies.
  const where =
    near !== null && near < last
      ? `between ${formatValue(near, x.kind, 3)} and ${formatValue(last, x.kind, 3)}`
      : beyond;
  return advice('go-on', `${more} ${where}: too few of these tell where the curve ends.`, where);
}

/** Where the curve would be within 5% of its limit, or twice as far as now; empty where that is out of reach. */
function targetOf({ fit, file }: FitView): string {
  const last = fit.xRange ? fit.xRange[1] * file.xUnit : null;
  if (last === null) return '';
  const within = fit.convergence.find(({ withinPercent }) => withinPercent === 5)?.x;
  const reach = within == null ? null : within * file.xUnit;
  const target = reach !== null && reach > last ? reach : last * 2;
  return target < last * 100 ? formatValue(target, axisOf(file.x).kind) : '';
}

/** Laws within this ΔAICc of the best have considerable support (Burnham & Anderson). */
const CONSIDERABLE = 2;

function rivalLimit(view: FitView, model: ReportModel): string {
  const { fit, file, label } = view;
  const ranking = comparisonOf(file, fit)?.ranking ?? [];
  const y = axisOf(file.y);
  const close = model.fits.filter(
    (other) =>
      other.label === label &&
      other.file === file &&
      other.fit.law !== fit.law &&
      other.fit.limit !== null &&
      fit.limit !== null &&
      Math.abs(other.fit.limit.estimate - fit.limit.estimate) > WIDE * Math.abs(fit.limit.estimate) &&
      (ranking.find(({ law }) => law === other.fit.law)?.deltaAicc ?? Number.POSITIVE_INFINITY) <
        CONSIDERABLE,
  );
  const first = close[0];
  return first
    ? `the ${lawTitle(first.fit.law).toLowerCase()} puts the limit at ${formatValue(first.fit.limit!.estimate, y.kind)}`
    : '';
}
