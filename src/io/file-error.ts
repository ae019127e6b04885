import { inputError, SparselawError } from '../errors.js';
import { printable } from './printable.js';

const REASONS: Record<string, { says: string; code: string; suggestion?: string }> = {
  ENOENT: { says: 'there is no such file or folder', code: 'missing-file' },
  EACCES: { says: 'permission denied', code: 'permission-denied' },
  EPERM: { says: 'permission denied', code: 'permission-denied' },
  EROFS: { says: 'the file system is read-only', code: 'read-only' },
  EISDIR: { says: 'it is a folder, not a file', code: 'is-a-folder' },
  ENOTDIR: { says: 'a part of the path is a file, not a folder', code: 'not-a-folder' },
  EEXIST: { says: 'something of that name is in the way', code: 'exists' },
  ENOSPC: { says: 'the disk is full', code: 'disk-full', suggestion: 'Free some space and run again.' },
  EDQUOT: {
    says: 'the disk quota is used up',
    code: 'disk-full',
    suggestion: 'Free some space and run again.',
  },
  EFBIG: { says: 'the file would grow over the allowed size', code: 'file-too-large' },
  EMFILE: { says: 'too many files are open', code: 'too-many-files', suggestion: 'Raise `ulimit -n`.' },
  ENAMETOOLONG: { says: 'the name is too long', code: 'bad-path' },
  ELOOP: { says: 'its symbolic links lead in a circle', code: 'bad-path' },
  EIO: { says: 'the disk reports an input/output error', code: 'io-error' },
};

/**
 * Turns a failed file operation into the one line a user needs (status 3); other errors pass unchanged.
 * @param action what was being done, e.g. `read` or `write`
 */
export function fileError(error: unknown, action: 'read' | 'write', path: string): unknown {
  if (error instanceof SparselawError) return error;
  const reason = REASONS[(error as NodeJS.ErrnoException | undefined)?.code ?? ''];
  if (!reason) return error;
  return inputError(`Cannot ${action} ${printable(path)}: ${reason.says}.`, {
    code: reason.code,
    suggestions: reason.suggestion ? [reason.suggestion] : [],
    cause: error,
  });
}

/** Runs a file operation; what fails is reported by `fileError`. */
export async function withFile<T>(
  action: 'read' | 'write',
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, action, path);
  }
}
