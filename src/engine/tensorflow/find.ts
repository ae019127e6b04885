import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { engineError } from '../../errors.js';
import type { DeviceKind } from '../engine.js';
import { findInstalledTensorflow } from '../install/index.js';
import type { TensorflowLocation } from './location.js';

/** Packages of the user's that serve, best first, with what their library is built for. */
const PACKAGES = [
  ['@tensorflow/tfjs-node-gpu', 'cuda'],
  ['@tensorflow/tfjs-node', 'cpu'],
] as const;

/** A tfjs-node package whose install script has brought the native parts; undefined where one is missing. */
function completePackage(folder: string, builtFor: DeviceKind): TensorflowLocation | undefined {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const addons = join(folder, 'lib');
  const api = existsSync(addons) ? readdirSync(addons).sort().at(-1) : undefined;
  const binding = api && join(addons, api, 'tfjs_binding.node');
  if (!binding || !existsSync(binding) || !existsSync(join(folder, 'deps', 'lib'))) return undefined;
  return { kind: 'package', name, folder, binding, version, builtFor };
}

const require = createRequire(import.meta.url);

/** The packages beside this program, and the folder that SPARSELAW_TENSORFLOW names. */
export function ownPackages(): TensorflowLocation[] {
  const named = process.env.SPARSELAW_TENSORFLOW;
  if (named) return [namedPackage(named)];
  return PACKAGES.flatMap(([name, builtFor]) => {
    try {
      return completePackage(dirname(require.resolve(`${name}/package.json`)), builtFor) ?? [];
    } catch {
      return []; // Not there: it is an optional dependency.
    }
  });
}

function namedPackage(named: string): TensorflowLocation {
  const folder = resolve(named);
  const refuse = (why: string, suggestion: string) =>
    engineError(`SPARSELAW_TENSORFLOW names ${named}, ${why}.`, {
      code: 'tensorflow-missing',
      suggestions: [suggestion],
    });
  if (!existsSync(join(folder, 'package.json'))) {
    throw refuse('which holds no package.json', 'Name the folder of a tfjs-node or tfjs-node-gpu package.');
  }
  const found = completePackage(folder, 'cuda');
  if (!found) {
    throw refuse(
      'which has no native parts (lib/napi-v*/tfjs_binding.node, deps/lib)',
      `npm rebuild in its project, or unset the variable and run: sparselaw engine install tensorflow`,
    );
  }
  return found;
}

/**
 * What may be loaded, best first: installed ones before packages, as they were asked for by name.
 * @throws SparselawError (status 4) when an installed one is damaged
 */
export async function findTensorflow(): Promise<TensorflowLocation[]> {
  if (process.env.SPARSELAW_TENSORFLOW) return ownPackages();
  return [...(await findInstalledTensorflow()), ...ownPackages()];
}

/**
 * A package that brings its own tfjs-core would register its kernels and make its tensors with that one.
 * @throws SparselawError (status 4)
 */
export function requireOneCore({ kind, name, folder }: TensorflowLocation): void {
  if (kind === 'installed') return;
  const ours = realpathSync(require.resolve('@tensorflow/tfjs-core'));
  const theirs = realpathSync(createRequire(join(folder, 'package.json')).resolve('@tensorflow/tfjs-core'));
  if (ours === theirs) return;
  throw engineError(
    `${name} in ${folder} uses another copy of tfjs-core (${theirs}) than sparselaw (${ours}).`,
    {
      code: 'two-tfjs-cores',
      suggestions: [
        'Install it beside sparselaw, in the version that sparselaw depends on: npm ls @tensorflow/tfjs-core',
        'sparselaw engine install tensorflow',
      ],
    },
  );
}
