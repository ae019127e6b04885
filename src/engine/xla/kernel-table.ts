import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type KernelTable, kernelTableSchema } from '../../files/kernel-table.js';
import { writeFileAtomic } from '../../io/atomic.js';
import { cacheFolder, type PluginLocation } from '../install/index.js';
import { type Cut, type KernelChoice, type KernelKind, kernelsOf, PROVEN_KINDS } from './kernel-choice.js';
import type { Tuned } from './tune.js';

/** Of the kernels' text: to be raised when it changes, so that older tables are not believed. */
export const KERNEL_VERSION = 2;

type Key = Pick<PluginLocation, 'sha256'>;

const fileName = (device: string) => `${device.replace(/[^A-Za-z0-9]+/g, '-')}.json`;

/** Where the table of a plugin and a device is kept. */
export const kernelTablePath = ({ sha256 }: Key, device: string): string =>
  join(cacheFolder(), 'kernels', sha256, fileName(device));

/** The table of a plugin and a device; undefined where there is none, or one of other kernels, or a broken one. */
export async function readKernelTable(plugin: Key, device: string): Promise<KernelTable | undefined> {
  try {
    const text = await readFile(kernelTablePath(plugin, device), 'utf8');
    const table = kernelTableSchema.parse(JSON.parse(text));
    const own = table.kernelVersion === KERNEL_VERSION && table.pluginSha256 === plugin.sha256;
    return own && table.device === device ? table : undefined;
  } catch {
    return undefined; // Everything works without.
  }
}

const keyOf = (kind: string, shape: readonly number[]) => `${kind} ${shape.join('x')}`;

/** What a table says, and `otherwise` for shapes that it does not have. */
export function choiceOf(table: KernelTable | undefined, otherwise: KernelChoice): KernelChoice {
  const entries = new Map(table?.entries.map(({ kind, shape, cut }) => [keyOf(kind, shape), cut]));
  return (kind, shape) => {
    const known = entries.get(keyOf(kind, shape));
    return known === undefined ? otherwise(kind, shape) : ((known ?? undefined) as Cut | undefined);
  };
}

/**
 * Those that are asked for, else those that pay by the table of this device, else those that paid on an H200; of kinds
 * whose numbers are right alone.
 */
export function usualChoice(
  right: readonly KernelKind[],
  table: KernelTable | undefined,
  requested: readonly KernelKind[] | undefined,
): KernelChoice {
  const usual = kernelsOf(requested ?? PROVEN_KINDS);
  const measured = choiceOf(table, usual);
  return (kind, shape) => {
    if (!right.includes(kind)) return undefined;
    if (!requested) return measured(kind, shape);
    return usual(kind, shape) && (measured(kind, shape) ?? usual(kind, shape));
  };
}

/** What a kind of kernel was asked for: the shapes of one program. */
export interface KernelUse {
  readonly kind: KernelKind;
  readonly shape: readonly number[];
}

/** Adds what was found for the shapes of a program to the table of a plugin and a device. @returns its path */
export async function writeKernelTable(
  plugin: Pick<PluginLocation, 'sha256' | 'package' | 'version'>,
  device: string,
  uses: readonly KernelUse[],
  { cuts, trials }: Tuned,
): Promise<string> {
  const before = await readKernelTable(plugin, device);
  const found = uses.map(({ kind, shape }): KernelTable['entries'][number] => {
    const cut = cuts[kind];
    const own = trials.filter((trial) => trial.kind === kind);
    const kept = own.find((trial) => trial.cut === cut);
    const best = own.toSorted((a, b) => a.milliseconds - b.milliseconds)[0];
    const finite = (ms: number | undefined) => (ms !== undefined && Number.isFinite(ms) ? ms : null);
    return {
      ...{ kind, shape: [...shape], cut: cut ?? null },
      milliseconds: finite((kept ?? best)?.milliseconds),
      without: finite((kept ?? best)?.without),
    };
  });
  const fresh = new Set(found.map(({ kind, shape }) => keyOf(kind, shape)));
  const table: KernelTable = {
    schemaVersion: 1,
    kernelVersion: KERNEL_VERSION,
    plugin: `${plugin.package} ${plugin.version}`.trim(),
    pluginSha256: plugin.sha256,
    device,
    entries: [
      ...(before?.entries ?? []).filter(({ kind, shape }) => !fresh.has(keyOf(kind, shape))),
      ...found,
    ],
  };
  const path = kernelTablePath(plugin, device);
  await writeFileAtomic(path, `${JSON.stringify(table, null, 2)}\n`);
  return path;
}
