import { jointConvergentPower, jointConvergentPowerFixed } from './convergent-power.js';
import type { JointLaw } from './joint-law.js';
import { jointLogspacePower } from './logspace-power.js';

export type { JointLaw, RunPoints } from './joint-law.js';

/** Every law over several runs. */
export const JOINT_LAWS: readonly JointLaw[] = [
  jointConvergentPower,
  jointConvergentPowerFixed,
  jointLogspacePower,
];

export const findJointLaw = (id: string): JointLaw | undefined => JOINT_LAWS.find((law) => law.id === id);
