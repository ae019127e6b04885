import koffi from 'koffi';
import { sizeStacks } from '../xla/pjrt/native.js';

const STDERR = 2;
const O_WRONLY = 1;

/**
 * Runs `load` with this process's standard error going nowhere. TensorFlow greets whoever loads it with lines that
 * no variable turns off; commands promise that stderr holds progress and warnings of theirs. Failures still throw.
 */
export function withoutStderr<T>(load: () => T): T {
  sizeStacks();
  const libc = koffi.load('libc.so.6');
  const dup = libc.func('int dup(int)');
  const dup2 = libc.func('int dup2(int, int)');
  const open = libc.func('int open(const char *, int)');
  const close = libc.func('int close(int)');
  const [kept, nowhere] = [dup(STDERR), open('/dev/null', O_WRONLY)];
  dup2(nowhere, STDERR);
  try {
    return load();
  } finally {
    dup2(kept, STDERR);
    close(kept);
    close(nowhere);
  }
}
