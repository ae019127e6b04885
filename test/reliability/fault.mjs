// Preloaded into the program (`NODE_OPTIONS=--import`), or loaded by a test that runs commands itself: counts what the process does to files under one folder, and
// at the n-th such operation kills the process or lets the operation fail, as a full or failing disk would.
// A write that is struck leaves half of its bytes. SPARSELAW_FAULT is JSON:
//   { "under": folder, "kind": "count" | "kill" | "vanish" | "slow" | "ENOSPC" | "EACCES" | "EROFS" | "EIO",
//     "at": 1…, "log": file?, "in": words? }
// With "count" each operation is appended to `log`. With an error code every later operation that needs space fails
// as well, as a full disk stays full; one that needs none (a rename, a removal) fails where it is the n-th, but for
// want of space. With "vanish" the whole folder is gone when the operation begins; with "slow"
// every operation takes SLOW_MS more.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const appendLog = fs.appendFileSync;
const kill = process.kill.bind(process);
const remove = fs.rmSync;
const SLOW_MS = 30;

let { under, kind, at = 0, log, count } = { count: 0 };

/** Begins to count, and to strike; without a fault everything goes through. */
export function arm(fault) {
  ({ under, kind, at = 0, log, count } = { ...fault, count: 0 });
}

// Struck is the process whose command line begins with the words of `in`. Its children and threads run unharmed.
const given = JSON.parse(process.env.SPARSELAW_FAULT ?? 'null');
if (
  given &&
  process.argv
    .slice(2)
    .join(' ')
    .startsWith(given.in ?? '')
) {
  arm(given);
  delete process.env.SPARSELAW_FAULT;
}

const isWatched = (path) =>
  kind && typeof path === 'string' && (resolve(path) === under || resolve(path).startsWith(under + sep));

/** What happens to the next operation: undefined when it goes through. */
async function strike(name, path, needsSpace = true) {
  count++;
  if (kind === 'slow') await sleep(SLOW_MS);
  if (kind === 'slow' || kind === 'vanish') {
    if (kind === 'vanish' && count === at) remove(under, { recursive: true, force: true });
    return undefined;
  }
  if (kind === 'count') appendLog(log, `${process.pid} ${name} ${resolve(path).slice(under.length + 1)}\n`);
  if (kind === 'kill') return count === at ? 'kill' : undefined;
  if (kind === 'count' || count < at) return undefined;
  return needsSpace || (kind !== 'ENOSPC' && count === at) ? kind : undefined;
}

const failure = (code, name, path) =>
  Object.assign(new Error(`${code}: injected, ${name} '${path}'`), { code, syscall: name, path });

/** Ends the process as `kill -9` does, at once. */
function die() {
  kill(process.pid, 'SIGKILL');
  for (;;);
}

/** Operations on names; freeing space works on a full disk. */
for (const [name, needsSpace] of [
  ['mkdir', true],
  ['rename', false],
  ['link', true],
  ['rm', false],
  ['writeFile', true],
  ['appendFile', true],
  ['copyFile', true],
  ['unlink', false],
  ['rmdir', false],
]) {
  const original = fs.promises[name];
  fs.promises[name] = async (path, ...rest) => {
    const target = name === 'copyFile' || name === 'rename' ? rest[0] : path;
    if (!isWatched(target)) return original(path, ...rest);
    const fate = await strike(name, target, needsSpace);
    if (!fate) return original(path, ...rest);
    if (name === 'writeFile' || name === 'appendFile') {
      const bytes = Buffer.from(rest[0]);
      await original(path, bytes.subarray(0, bytes.length >> 1), ...rest.slice(1));
    }
    if (fate === 'kill') die();
    throw failure(fate, name, target);
  };
}

const paths = new WeakMap();
let prepared = false;

/** FileHandle's methods, which exist once there is one. */
function prepare(handle) {
  if (prepared) return;
  prepared = true;
  const prototype = Object.getPrototypeOf(handle);
  for (const name of ['write', 'writeFile', 'appendFile', 'sync', 'datasync', 'truncate']) {
    const original = prototype[name];
    prototype[name] = async function (data, ...rest) {
      const path = paths.get(this);
      const fate = path === undefined ? undefined : await strike(name, path);
      if (!fate) return original.call(this, data, ...rest);
      if (name === 'write' && typeof data !== 'string') {
        const [offset = 0, length = data.byteLength - offset, position = null] = rest;
        if (length > 1) await original.call(this, data, offset, length >> 1, position);
      } else if (name === 'writeFile' || name === 'appendFile') {
        const bytes = Buffer.from(data);
        await original.call(this, bytes.subarray(0, bytes.length >> 1), ...rest);
      }
      if (fate === 'kill') die();
      throw failure(fate, name, path);
    };
  }
}

const { open } = fs.promises;
fs.promises.open = async (path, flags = 'r', ...rest) => {
  const writes = typeof flags === 'string' && /[wa+]/.test(flags) && isWatched(path);
  if (writes) {
    const fate = await strike('open', path);
    if (fate === 'kill') die();
    if (fate) throw failure(fate, 'open', path);
  }
  const handle = await open(path, flags, ...rest);
  prepare(handle);
  if (writes) paths.set(handle, path);
  return handle;
};

syncBuiltinESMExports();
