import type { ParameterVerdict } from '../files/fit.js';
import type { LawParameter } from '../laws/law.js';
import type { ParameterEstimate } from './estimate.js';

export interface Judgement {
  verdict: ParameterVerdict;
  /** A sentence for people when the verdict is not `ok`. */
  reason: string | null;
}

/** A positive number is weakly known when its interval spans this factor. */
const WIDE_FACTOR = 10;
/** A limit is weakly known when its interval reaches further than this share of it to a side. */
const WIDE_LIMIT = 0.1;

const show = (value: number | null) => (value === null ? '…' : Number(value.toPrecision(3)).toString());

/** Whether one parameter means something on its own, and why not. */
export function judge(parameter: LawParameter, estimate: ParameterEstimate): Judgement {
  const { name } = parameter;
  const { value, low, high, standardError } = estimate;
  if (estimate.atBound) {
    return {
      verdict: 'at-bound',
      reason: `${name} lies on its bound ${show(value)}; its interval is one-sided`,
    };
  }
  const weak = (text: string): Judgement => ({
    verdict: 'weakly-identified',
    reason: `${name} is weak: ${text}`,
  });
  if (estimate.method === 'none') {
    return standardError === null ? weak('the data do not determine it (singular Jacobian)') : ok;
  }
  if (estimate.lowEnd === 'open' || estimate.highEnd === 'open' || low === null || high === null) {
    const side = estimate.lowEnd === 'open' ? 'below' : 'above';
    return weak(`its likelihood profile does not close ${side}`);
  }
  if (estimate.lowEnd === 'bound' || estimate.highEnd === 'bound') {
    return weak(`its interval reaches the bound ${show(estimate.lowEnd === 'bound' ? low : high)}`);
  }
  switch (parameter.kind) {
    case 'scale':
    case 'location':
      return low > 0 && high / low > WIDE_FACTOR
        ? weak(`its interval [${show(low)}, ${show(high)}] spans a factor of ${show(high / low)}`)
        : ok;
    case 'exponent':
      return high - low > Math.log(WIDE_FACTOR)
        ? weak(`exp(${name}) is known only to a factor of ${show(Math.exp(high - low))}`)
        : ok;
    case 'limit':
      return Math.max(high - value, value - low) > WIDE_LIMIT * Math.abs(value)
        ? weak(`the interval [${show(low)}, ${show(high)}] reaches more than 10 % from ${show(value)}`)
        : ok;
    case 'coefficient':
      return low <= 0 && high >= 0 ? weak(`its interval [${show(low)}, ${show(high)}] contains 0`) : ok;
    case 'level':
      return ok;
  }
}

const ok: Judgement = { verdict: 'ok', reason: null };
