import { run } from '@oclif/core';
import { Exit, handle } from '@oclif/core/handle';
import { type Outcome, program } from './cli.js';

/**
 * Runs the built command line in this process: what `sparselaw` of cli.ts does, without a process's start. For tests
 * of what a command reads, says and writes; those of signals, pipes, environments and bin/run.js itself start one.
 * One call at a time: a process has one stdout and one working folder.
 */
export async function sparselawHere(
  args: string[],
  { cwd = process.cwd() }: { cwd?: string } = {},
): Promise<Outcome> {
  const before = { cwd: process.cwd(), exitCode: process.exitCode, exit: Exit.exit };
  const stdout = capture(process.stdout);
  const stderr = capture(process.stderr);
  let status: number | undefined;
  process.exitCode = undefined;
  process.chdir(cwd);
  try {
    await run(args, program);
  } catch (error) {
    Exit.exit = ((code: number) => {
      status ??= code;
    }) as typeof Exit.exit;
    await handle(error as Error);
  } finally {
    Exit.exit = before.exit;
    stdout.release();
    stderr.release();
    process.chdir(before.cwd);
    status ??= Number(process.exitCode ?? 0);
    process.exitCode = before.exitCode;
  }
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}

/** Keeps what is written to a stream from it, until it is released. */
function capture(stream: NodeJS.WriteStream) {
  const original = stream.write;
  let text = '';
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
    const done = rest.find((value) => typeof value === 'function') as (() => void) | undefined;
    done?.();
    return true;
  }) as typeof stream.write;
  return {
    text: () => text,
    release: () => {
      stream.write = original;
    },
  };
}
