import type { ProfileName } from '../../files/profile.js';
import type { MeasureContext } from '../context.js';
import type { Outcome } from '../metrics/index.js';
import { cettProfile } from './cett.js';
import { chunksProfile, neuronsProfile, positionsProfile, tokensProfile } from './counts.js';
import { paretoProfile } from './pareto.js';

export type ProfileRow = Record<string, string | number>;

interface Profile {
  /** Whether its rows depend on the measurement: the sweeps are of the checkpoint alone. */
  ofOutcome: boolean;
  rows(context: MeasureContext, outcome: Outcome): Promise<ProfileRow[]>;
}

/** Every profile by name; a new one is a function, a name with its columns in files/profile.ts and a line here. */
export const PROFILE_MAKERS: Readonly<Record<ProfileName, Profile>> = {
  pareto: { ofOutcome: false, rows: paretoProfile },
  cett: { ofOutcome: false, rows: cettProfile },
  neurons: { ofOutcome: true, rows: neuronsProfile },
  tokens: { ofOutcome: true, rows: tokensProfile },
  positions: { ofOutcome: true, rows: positionsProfile },
  chunks: { ofOutcome: true, rows: chunksProfile },
};
