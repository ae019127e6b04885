import { constant } from './constant.js';
import { convergentPower } from './convergent-power.js';
import type { Law } from './law.js';
import { linear } from './linear.js';
import { log } from './log.js';
import { logspacePower } from './logspace-power.js';
import { offsetExponential } from './offset-exponential.js';
import { offsetPower } from './offset-power.js';
import { piecewiseLinear } from './piecewise-linear.js';
import { power } from './power.js';
import { sigmoid } from './sigmoid.js';

export type { Law, LawParameter, Points, Shape } from './law.js';

/** Every law of one x, in the order in which they are listed to people. */
export const LAWS = [
  logspacePower,
  convergentPower,
  offsetPower,
  offsetExponential,
  log,
  sigmoid,
  constant,
  linear,
  piecewiseLinear,
  power,
] as const satisfies readonly Law[];

export const LAW_IDS: readonly string[] = LAWS.map((law) => law.id);

/** The law of that id, or undefined. */
export const findLaw = (id: string): Law | undefined => LAWS.find((law) => law.id === id);
