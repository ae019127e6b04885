import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** Bytes that we may still write where a path is or will be; undefined where the system does not tell. */
export async function freeBytes(path: string): Promise<number | undefined> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      const isMissing = ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
      if (!isMissing || folder === dirname(folder)) return undefined;
    }
  }
}
