import { z } from 'zod';
import { METRIC_NAMES } from './sparsity.js';

/** Kinds of distributions that `measure --profile` writes beside the scalars. */
export const PROFILE_NAMES = ['pareto', 'cett', 'neurons', 'tokens', 'positions', 'chunks'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

export const PROFILE_FORMATS = ['parquet', 'csv'] as const;
export type ProfileFormat = (typeof PROFILE_FORMATS)[number];

export const PROFILE_SCHEMA_VERSION = 1;

const columnSchema = z.object({
  name: z.string(),
  kind: z.enum(['text', 'integer', 'number']),
  definition: z.string(),
});
type ProfileColumn = z.infer<typeof columnSchema>;

/** `<profile>.schema.json`: whose distribution it is, and what its columns mean. */
export const profileSchema = z.object({
  schemaVersion: z.literal(PROFILE_SCHEMA_VERSION),
  profile: z.enum(PROFILE_NAMES),
  summary: z.string(),
  columns: z.array(columnSchema),
  checkpoint: z.string(),
  checkpointSha256: z.string(),
  runId: z.string().nullable(),
  tokens: z.number().int().nonnegative().nullable(),
  /** The measurement that says which neurons are active; the sweeps (pareto, cett) only share its windows. */
  metric: z.enum(METRIC_NAMES),
  definition: z.string(),
  settingsHash: z.string(),
  engine: z.string(),
  precision: z.string(),
});
export type ProfileDescription = z.infer<typeof profileSchema>;

const text = (name: string, definition: string): ProfileColumn => ({ name, kind: 'text', definition });
const integer = (name: string, definition: string): ProfileColumn => ({ name, kind: 'integer', definition });
const number = (name: string, definition: string): ProfileColumn => ({ name, kind: 'number', definition });

const sweep = [
  number(
    'activation_ratio',
    'Share of neurons kept in the sparse forward: mean over tokens, then over layers.',
  ),
  number('loss_sparse_nats_per_token', 'Mean loss with the weak neurons dropped.'),
  number('ppl_ratio', 'Perplexity with the weak neurons dropped over the dense one.'),
];

/** What a profile holds and what each of its columns means. */
export const PROFILES: Readonly<Record<ProfileName, { summary: string; columns: readonly ProfileColumn[] }>> =
  {
    pareto: {
      summary:
        'Perplexity against activation ratio for each rule (Sparsing Law Fig. 2), on the calibration tokens. fat, ' +
        'topk-layer-gate and topk-gate share the score |s|; global, topk-layer-output, topk-output and cett share ' +
        'the output norm. One threshold for all layers (fat, global), one share for all layers (topk-layer-*), one ' +
        'k for every token (topk-*) or one relative error for all layers (cett).',
      columns: [
        text('arm', 'zero, cett, fat, global, topk-gate, topk-output, topk-layer-gate or topk-layer-output.'),
        number(
          'parameter',
          'Bound of cett, threshold of fat and global, share kept of topk and topk-layer; 0 for zero.',
        ),
        ...sweep,
      ],
    },
    cett: {
      summary: 'Perplexity and activation ratio against the CETT bound (Fig. 15), on the calibration tokens.',
      columns: [number('cett', 'CETT bound of all layers.'), ...sweep],
    },
    neurons: {
      summary: 'How often each neuron is active (Fig. 9 and 16); dead ones have frequency 0.',
      columns: [
        integer('layer', 'From 0.'),
        integer('neuron', 'Row of the gate or up projection, from 0.'),
        integer('active_count', 'Tokens for which it is kept and not exactly 0.'),
        number('frequency', 'active_count over the tokens evaluated.'),
      ],
    },
    tokens: {
      summary: 'Mean activation ratio of each vocabulary entry as input (Fig. 10).',
      columns: [
        integer('token', 'Id of the input token.'),
        integer('count', 'Times it was an input.'),
        number('activation_ratio', 'Mean over its occurrences and the layers.'),
      ],
    },
    positions: {
      summary: 'Mean activation ratio of each position of a window.',
      columns: [integer('position', 'From 0.'), number('activation_ratio', 'Mean over windows and layers.')],
    },
    chunks: {
      summary:
        'Share of neurons active for at least one of several consecutive tokens (chunk-level, BlockFFN): what a batch of tokens must load.',
      columns: [
        integer('layer', 'From 0.'),
        integer('chunk_tokens', 'Consecutive tokens taken together; 1 is the activation ratio.'),
        number(
          'activation_ratio',
          'Mean over chunks; the tokens after the last whole chunk of a window are left out.',
        ),
      ],
    },
  };

/** `000000001048576.neurons.1a2b3c4d5e6f.parquet`; its description lies beside it, with `.schema.json` added. */
export const profileFileName = (
  { checkpoint, settingsHash }: { checkpoint: string; settingsHash: string },
  name: ProfileName,
  format: ProfileFormat,
): string => `${checkpoint}.${name}.${settingsHash}.${format}`;
