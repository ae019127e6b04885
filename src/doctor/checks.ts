import { execFile } from 'node:child_process';
import { cpus, freemem, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { hasNvidiaGpu } from '../engine/gpu.js';
import { type DeviceKind, type EngineName, openEngine } from '../engine/index.js';
import { forgetVerified } from '../engine/install/index.js';
import { SparselawError } from '../errors.js';
import type { Check } from './check.js';
import { checkGpu } from './gpu.js';
import { parityWithReference } from './parity.js';

/** Largest relative difference from the reference that float32 rounding explains. */
const PARITY_BOUND = 1e-4;
const MIN_NODE_MAJOR = 20;
const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
const run = promisify(execFile);

function checkNode(): Check {
  const major = Number(process.versions.node.split('.')[0]);
  const fine = major >= MIN_NODE_MAJOR;
  return {
    name: 'node',
    status: fine ? 'ok' : 'missing',
    found: `${process.version} ${process.platform}-${process.arch}`,
    advice: fine ? '' : `Install Node ${MIN_NODE_MAJOR} or newer.`,
  };
}

function checkMachine(): Check {
  const cores = cpus();
  return {
    name: 'machine',
    status: 'ok',
    found: `${cores.length} cores (${cores[0]?.model ?? 'unknown'}), ${gibibytes(freemem())} of ${gibibytes(totalmem())} memory free`,
    advice: '',
  };
}

/** A program of the system that some command needs. */
async function checkProgram(
  name: string,
  command: string,
  args: string[],
  purpose: string,
  advice: string,
): Promise<Check> {
  try {
    const { stdout, stderr } = await run(command, args, { timeout: 20_000 });
    return { name, status: 'ok', found: (stdout || stderr).split('\n')[0]!.trim(), advice: '' };
  } catch {
    return { name, status: 'warning', found: `not found; needed ${purpose}`, advice };
  }
}

async function checkEngine(name: EngineName, device?: DeviceKind): Promise<Check> {
  const label = device === 'cuda' ? `engine ${name} (cuda)` : `engine ${name}`;
  try {
    const engine = await openEngine(name, device && { device });
    const difference = await parityWithReference(engine);
    const versions = Object.entries(engine.versions).map(([key, value]) => `${key} ${value}`);
    await engine.close();
    const agrees = difference <= PARITY_BOUND;
    return {
      name: label,
      status: agrees ? 'ok' : 'warning',
      found: `${engine.deviceDescription}; ${versions.join(', ')}; differs from the reference by ${difference.toExponential(1)}`,
      advice: agrees ? '' : 'Results of this engine differ more than rounding explains: do not trust them.',
    };
  } catch (error) {
    const known = error instanceof SparselawError;
    return {
      name: label,
      status: 'missing',
      found: (error as Error).message,
      advice: known ? error.suggestions.join(', or: ') : 'Please report this.',
    };
  }
}

/** Engines that `doctor` looks at, fastest first. */
export const DOCTOR_ENGINES = ['xla', 'tensorflow', 'wasm'] as const satisfies readonly EngineName[];

/**
 * Looks at everything a run needs: Node, the machine, the programs that some commands call, and every engine,
 * each with a small program compared with the plain reference. Each engine's library is read whole and compared with
 * what was pinned, also where commands trust that it is the file that they compared before.
 */
export async function runChecks(engines: readonly EngineName[] = DOCTOR_ENGINES): Promise<Check[]> {
  const programs = await Promise.all([
    checkProgram(
      'pip',
      'python3',
      ['-m', 'pip', '--version'],
      'by `engine install`',
      'Install python3 with pip, or pass `engine install NAME --from WHEEL`.',
    ),
    checkProgram('xz', 'xz', ['--version'], 'to read .xz texts', 'Install the package xz-utils.'),
  ]);
  const checks = [checkNode(), checkMachine(), ...programs, ...(await checkGpu())];
  await forgetVerified();
  // One after the other: each takes all cores while it is compared.
  for (const name of engines) {
    if (name === 'xla' && hasNvidiaGpu()) checks.push(await checkEngine(name, 'cuda'));
    checks.push(await checkEngine(name, name === 'xla' ? 'cpu' : undefined));
  }
  return checks;
}

/** Whether at least one engine can train. */
export const canTrain = (checks: readonly Check[]): boolean =>
  checks.some(({ name, status }) => name.startsWith('engine ') && status === 'ok');
