import { z } from 'zod';

const cut = z.strictObject({
  lanesAtOnce: z.int().positive(),
  rowsOfInstance: z.int().positive(),
  warps: z.int().positive(),
  stages: z.int().positive().optional(),
});

/** Which kernels of our own pay on a device: made by `engine bench --tune`, kept in the cache. */
export const kernelTableSchema = z.strictObject({
  schemaVersion: z.literal(1),
  /** Of the kernels' text: a table of another version says nothing. */
  kernelVersion: z.int(),
  plugin: z.string(),
  pluginSha256: z.string(),
  device: z.string(),
  entries: z.array(
    z.strictObject({
      kind: z.string(),
      shape: z.array(z.int().nonnegative()),
      /** null where XLA's own form is not slower. */
      cut: cut.nullable(),
      /** Of a training step with the kernel, and beside it without. */
      milliseconds: z.number().nullable(),
      without: z.number().nullable(),
    }),
  ),
});

export type KernelTable = z.infer<typeof kernelTableSchema>;
