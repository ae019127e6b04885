import { z } from 'zod';
import { canonicalJson, sha256 } from '../io/hash.js';

/** Version of fit.json; `predict` and `report` refuse another one. */
export const FIT_SCHEMA_VERSION = 1;

/** JSON holds no NaN and no infinity: what has no finite value is null. */
const number = z.number().nullable();
const count = z.number().int().nonnegative();
/** Lower and upper end; null is an end that does not close. */
const interval = z.tuple([number, number]);

export const PARAMETER_VERDICTS = ['ok', 'weakly-identified', 'at-bound'] as const;
export const FIT_VERDICTS = [
  'ok',
  'weakly-identified',
  'at-bound',
  'not-converged',
  'too-few-points',
] as const;
export const LOSSES = ['squares', 'huber', 'log'] as const;
export const NOISES = ['independent', 'correlated'] as const;

const estimate = z.object({
  estimate: z.number(),
  /** From σ²(JᵀJ)⁻¹; null at a bound or when the Jacobian is rank deficient. */
  standardError: number,
  /** At `level`; one-sided at a bound. */
  interval,
  /** `profile`, `profile-one-sided` (at a bound, by ½χ²₀ + ½χ²₁), `wald` (estimate ± t·SE) or `none`. */
  intervalMethod: z.enum(['profile', 'profile-one-sided', 'wald', 'none']),
  atBound: z.boolean(),
  verdict: z.enum(PARAMETER_VERDICTS),
});

const spread = z.object({ standardError: z.number(), interval: z.tuple([z.number(), z.number()]) });

const limit = z.object({
  estimate: z.number(),
  standardError: number,
  interval,
  verdict: z.enum(PARAMETER_VERDICTS),
});

/** Rows held out at the end of the series, forecast from the rows before them; errors in the unit of y. */
const forecast = z.object({
  /** Share of the points held out. */
  fraction: z.number(),
  trained: count,
  rmse: number,
  mae: number,
  /** Mean of prediction − measurement over the last five points, as a share of their mean. */
  lastFiveRelativeError: number,
});

const namedNumbers = z.record(z.string(), z.number());

const fitSchema = z.object({
  group: z.record(z.string(), z.string()),
  law: z.string(),
  formula: z.string(),
  tex: z.string(),
  n: count,
  /** Leading points left out. */
  dropped: count,
  loss: z.enum(LOSSES),
  noise: z.enum(NOISES),
  parameters: z.record(z.string(), estimate),
  /** Of the parameters, in their order, from σ²(JᵀJ)⁻¹; rows of parameters at a bound are 0. */
  covariance: z.array(z.array(z.number())).nullable(),
  limit: limit.nullable(),
  sse: number,
  mse: number,
  mae: number,
  r2: number,
  /** AICc = n·ln(SSE/n) + 2k + 2k(k+1)/(n−k−1); k counts σ. Null when n ≤ k + 2. */
  aicc: number,
  /** Residual standard deviation √(SSE/(n − parameters)), in the unit of y (of ln y when loss is log). */
  sigma: number,
  /** Smallest and largest x fitted, in the law's unit (the table's x divided by `xUnit`). */
  xRange: z.tuple([z.number(), z.number()]).nullable(),
  yRange: z.tuple([z.number(), z.number()]).nullable(),
  conditionNumber: number,
  durbinWatson: number,
  converged: z.boolean(),
  verdict: z.enum(FIT_VERDICTS),
  reasons: z.array(z.string()),
  starts: z.object({ tried: count, agreeing: count }),
  holdOut: forecast.nullable(),
  forecasts: z.array(forecast),
  bootstrap: z
    .object({
      replicates: count,
      seed: z.number().int(),
      scheme: z.enum(['residual', 'cluster']),
      failed: count,
      parameters: z.record(z.string(), spread),
      limit: spread.nullable(),
    })
    .nullable(),
  /** The same law with 0, 1, … leading points left out. */
  dropFirst: z.array(
    z.object({
      dropped: count,
      n: count,
      sse: z.number(),
      converged: z.boolean(),
      parameters: namedNumbers,
      standardErrors: z.record(z.string(), number),
      limit: number,
    }),
  ),
  /** The same law under other losses. */
  variants: z.array(
    z.object({
      loss: z.enum(LOSSES),
      converged: z.boolean(),
      parameters: namedNumbers,
      limit: number,
      mae: number,
    }),
  ),
  /** Residuals whose correlation falls as exp(−|Δx|/length), fitted together with the law. */
  autocorrelation: z
    .object({
      length: number,
      correlationAtMedianGap: z.number(),
      /** Of independence, by the likelihood ratio on the boundary (½χ²₀ + ½χ²₁). */
      pValue: z.number(),
      parameters: namedNumbers,
      limit: limit.nullable(),
    })
    .nullable(),
  /** Where the curve comes within a share of its limit. */
  convergence: z.array(
    z.object({ withinPercent: z.number(), x: number, tokensPerParameter: number, extrapolated: z.boolean() }),
  ),
  /** Slope of the curve at given tokens per parameter (arXiv 2411.02335, Fig. 8). */
  derivatives: z.array(
    z.object({
      tokensPerParameter: z.number(),
      x: z.number(),
      /** dy/dx in the law's unit of x. */
      perX: z.number(),
      /** dy/d(tokens per parameter). */
      perRatio: z.number(),
    }),
  ),
  /** Non-embedding parameters of the group's model, where the table says. */
  modelParameters: number,
  /** Standard deviation of the residuals of each cluster, where the group holds several. */
  clusterSigmas: namedNumbers,
  points: z
    .object({
      x: z.array(z.number()),
      y: z.array(z.number()),
      residual: z.array(z.number()),
    })
    .nullable(),
});

const jointSchema = z.object({
  group: z.record(z.string(), z.string()),
  law: z.string(),
  formula: z.string(),
  tex: z.string(),
  n: count,
  runs: z.array(z.object({ run: z.string(), scale: z.number(), n: count, sigma: number })),
  parameters: z.record(z.string(), estimate),
  sse: number,
  /** Σ (residual/σ_r)²/n with σ_r from separate fits of each run: 1 is as good as fitting each run alone. */
  chiSquarePerPoint: number,
  parameterCount: count,
  separateParameterCount: count,
  aicc: number,
  conditionNumber: number,
  converged: z.boolean(),
  verdict: z.enum(FIT_VERDICTS),
  reasons: z.array(z.string()),
  starts: z.object({ tried: count, agreeing: count }),
  leaveOneScaleOut: z.array(
    z.object({
      run: z.string(),
      scale: z.number(),
      /** With the run's own effects fitted to it, the shared ones from the other runs. */
      rmseShape: number,
      /** With nothing from the run; null where the law has run effects. */
      rmseForecast: number,
      /** Of the run's separate fit. */
      rmseSeparate: number,
    }),
  ),
});

/** Dependence of y on a scale: the numbers behind "weakly dependent". */
const scaleTest = z.object({
  group: z.record(z.string(), z.string()),
  n: count,
  /** Change of y for a factor of ten of x, with its interval. */
  slopePerDecade: estimate.pick({ estimate: true, standardError: true, interval: true }),
  /** The same as a share of the mean of y. */
  relativePerDecade: estimate.pick({ estimate: true, standardError: true, interval: true }),
  /** Of "no dependence at all". */
  pValue: z.number(),
  /** Largest share a decade that still counts as weak. */
  margin: z.number(),
  /** `weak`: the interval (90 %, two one-sided tests at 5 %) lies within ± margin; `strong`: outside; else `undecided`. */
  verdict: z.enum(['weak', 'strong', 'undecided']),
});

const comparison = z.object({
  group: z.record(z.string(), z.string()),
  ranking: z.array(
    z.object({ law: z.string(), aicc: number, deltaAicc: number, weight: number, forecastRmse: number }),
  ),
  /** Mean of the laws' limits by AICc weight, with the laws' disagreement in its interval. */
  averagedLimit: z
    .object({ estimate: z.number(), standardError: number, interval, weightWithoutLimit: z.number() })
    .nullable(),
  chosen: z.object({ law: z.string(), why: z.string() }).nullable(),
});

const fitBody = z.object({
  schemaVersion: z.literal(FIT_SCHEMA_VERSION),
  table: z.object({ path: z.string(), sha256: z.string() }),
  x: z.string(),
  xUnit: z.number(),
  y: z.string(),
  level: z.number(),
  detail: z.enum(['full', 'brief']),
  rows: z.object({ read: count, used: count, leftOut: z.record(z.string(), count) }),
  fits: z.array(fitSchema),
  comparison: z.array(comparison),
  joint: z.array(jointSchema),
  scaleTests: z.array(scaleTest),
  /** Groups and laws without a usable fit. */
  failed: z.array(z.object({ group: z.record(z.string(), z.string()), law: z.string(), reason: z.string() })),
});
type FitBody = z.infer<typeof fitBody>;

/** SHA-256 of all that fit.json says. */
const fitHash = (body: FitBody): string => sha256(canonicalJson(JSON.parse(JSON.stringify(body))));

/** fit.json; a file of an earlier version has no hash of itself, and none has a key that is not known. */
export const fitFileSchema = fitBody
  .extend({ selfSha256: z.string().optional() })
  .strict()
  .refine(({ selfSha256, ...body }) => selfSha256 === undefined || selfSha256 === fitHash(body), {
    message: 'does not fit the rest of the file, which was changed after it was written',
    path: ['selfSha256'],
  });

/** Gives a fit file the hash of itself, by which readers know that it is as it was written. */
export const sealFit = (body: FitBody): FitFile => ({ ...body, selfSha256: fitHash(body) });

export type FitFile = z.infer<typeof fitFileSchema>;
export type Fit = z.infer<typeof fitSchema>;
export type JointFit = z.infer<typeof jointSchema>;
export type ScaleTest = z.infer<typeof scaleTest>;
export type Comparison = z.infer<typeof comparison>;
export type Estimate = z.infer<typeof estimate>;
export type Limit = z.infer<typeof limit>;
export type Forecast = z.infer<typeof forecast>;
export type FitVerdict = (typeof FIT_VERDICTS)[number];
export type ParameterVerdict = (typeof PARAMETER_VERDICTS)[number];
export type Loss = (typeof LOSSES)[number];
export type Noise = (typeof NOISES)[number];
