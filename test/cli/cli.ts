import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../..');
export const program = join(root, 'bin/run.js');

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Kills it (`kill -9`) after so many milliseconds. */
  killAfterMs?: number;
}

/** Runs an executable to its end, whatever its status. */
export function execute(
  file: string,
  args: string[],
  { cwd = root, env = {}, killAfterMs }: RunOptions = {},
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(file, args, {
      cwd,
      env: { ...process.env, NO_COLOR: '1', ...env },
      timeout: killAfterMs,
      killSignal: 'SIGKILL',
    });
    const parts = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      parts.stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      parts.stderr += chunk;
    });
    child.on('error', fail);
    child.on('close', (status) => done({ status, ...parts }));
  });
}

/** Runs the built command line as a user would. */
export const sparselaw = (args: string[], options?: RunOptions): Promise<Outcome> =>
  execute(process.execPath, [program, ...args], options);
