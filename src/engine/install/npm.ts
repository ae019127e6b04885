import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { engineError } from '../../errors.js';
import { sha256File } from '../../io/hash.js';
import { makeFolder } from '../../io/make-folder.js';
import type { PinnedArchive } from './recipe.js';

/** File name that npm gives a package's archive. */
export const archiveNameOf = ({ package: name, version }: PinnedArchive): string =>
  `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;

/**
 * Has npm download a package's archive into a folder, with the user's registry, proxy and certificates; nothing of it
 * is installed or run.
 * @returns path of the archive, its hash checked
 * @throws SparselawError (status 4) when there is no npm, no network, or the hash is another one
 */
export async function npmDownload(
  archive: PinnedArchive,
  folder: string,
  signal?: AbortSignal,
): Promise<string> {
  const name = `${archive.package}@${archive.version}`;
  const offline = `Or fetch it elsewhere (npm pack ${name}) and pass --from a folder with it and the wheel.`;
  await makeFolder(folder);
  try {
    const args = ['pack', name, '--pack-destination', folder, '--ignore-scripts', '--silent'];
    // In a folder of its own: a package.json around the user's could change what npm does.
    await promisify(execFile)('npm', args, { cwd: folder, signal });
  } catch (error) {
    signal?.throwIfAborted();
    const { code, stderr = '' } = error as { code?: string; stderr?: string };
    if (code === 'ENOENT') {
      throw engineError(`${name} is downloaded by npm, but npm was not found.`, {
        code: 'npm-missing',
        suggestions: ['Install npm, which usually comes with Node.', offline],
        cause: error,
      });
    }
    const why = /npm error (?!code)(.+)/.exec(stderr)?.[1] ?? 'it said nothing';
    throw engineError(`npm could not download ${name}: ${why.replace(/[.\s]+$/, '')}.`, {
      code: 'npm-failed',
      suggestions: ["Check the network and npm's settings (`npm config list`).", offline],
      cause: error,
    });
  }
  const path = join(folder, archiveNameOf(archive));
  await checkArchive(archive, path);
  return path;
}

/** @throws SparselawError (status 4) when the file is missing or has another hash than the pinned one */
export async function checkArchive(archive: PinnedArchive, path: string): Promise<void> {
  const hash = await sha256File(path).catch(() => undefined);
  if (hash === archive.sha256) return;
  const seen = hash ? `has the SHA-256 ${hash}, not ${archive.sha256}` : 'cannot be read';
  throw engineError(`${path} (${archive.package} ${archive.version}) ${seen}.`, {
    code: hash ? 'hash-mismatch' : 'archive-missing',
    suggestions: [`Fetch it again: npm pack ${archive.package}@${archive.version}`],
  });
}

/** Fields of a tar header (POSIX ustar): offset and length. */
const BLOCK = 512;
const NAME = [0, 100] as const;
const SIZE = [124, 12] as const;
const TYPE = 156;
const PREFIX = [345, 155] as const;
const REGULAR = new Set(['0', '\0']);

/**
 * Unpacks the files that `takes` picks from an npm archive, whose paths all begin with `package/`, which is left out.
 * The caller has checked its hash.
 */
export async function unpackArchive(
  path: string,
  folder: string,
  takes: (path: string) => boolean,
): Promise<void> {
  const bytes = await promisify(gunzip)(await readFile(path));
  const text = (at: number, [offset, length]: readonly [number, number]) =>
    bytes.toString('utf8', at + offset, at + offset + length).replace(/\0.*$/s, '');
  for (let at = 0; at + BLOCK <= bytes.length && bytes[at] !== 0; ) {
    const size = Number.parseInt(text(at, SIZE), 8);
    const prefix = text(at, PREFIX);
    const name = `${prefix ? `${prefix}/` : ''}${text(at, NAME)}`.replace(/^package\//, '');
    const start = at + BLOCK;
    const safe = !name.startsWith('/') && !name.split('/').includes('..');
    if (REGULAR.has(String.fromCharCode(bytes[at + TYPE]!)) && safe && takes(name)) {
      const target = join(folder, name);
      await makeFolder(dirname(target));
      await writeFile(target, bytes.subarray(start, start + size));
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}
