// Builds fixtures/tfjs-binding/tfjs_binding.node anew and compares every byte:
//   npm run build && node scripts/tfjs-binding.mjs [--from FOLDER_WITH_THE_WHEEL] [--write]
// Needs npm, pip, make, g++ and Node's headers (beside this Node, or npm_config_nodedir); about 2 GB in the
// temporary folder for a minute. --write puts the result in the place of the committed one.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkArchive, npmDownload } from '../dist/src/engine/install/npm.js';
import { pipDownload } from '../dist/src/engine/install/pip.js';
import { TENSORFLOW } from '../dist/src/engine/install/recipes-tensorflow.js';
import { unpackWheel } from '../dist/src/engine/install/wheel.js';
import { sha256File } from '../dist/src/io/hash.js';

const { values: flags } = parseArgs({ options: { from: { type: 'string' }, write: { type: 'boolean' } } });
const committed = resolve(import.meta.dirname, '../fixtures/tfjs-binding/tfjs_binding.node');
const folder = mkdtempSync(join(tmpdir(), 'tfjs-binding-'));
const run = (command, args, options) =>
  execFileSync(command, args, { stdio: 'pipe', encoding: 'utf8', ...options });

try {
  const archive = await npmDownload(TENSORFLOW.archive, join(folder, 'npm'));
  await checkArchive(TENSORFLOW.archive, archive);
  const wheels = flags.from ?? join(folder, 'wheels');
  if (!flags.from) await pipDownload(TENSORFLOW, TENSORFLOW.wheels[0], wheels);
  const wheel = join(
    wheels,
    readdirSync(wheels).find((name) => name.startsWith('tensorflow_cpu')),
  );
  if ((await sha256File(wheel)) !== TENSORFLOW.wheels[0].sha256)
    throw new Error(`${wheel} is not the pinned one`);
  await unpackWheel(wheel, folder, { only: ['tensorflow/include/', 'tensorflow/libtensorflow'] });

  // Its build tools come with the package; its install script does not run.
  run('npm', ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', archive]);
  const modules = join(folder, 'node_modules');
  const source = join(modules, '@tensorflow/tfjs-node-gpu');
  mkdirSync(join(source, 'deps/lib'), { recursive: true });
  symlinkSync(join(folder, 'tensorflow/include'), join(source, 'deps/include'));
  for (const part of ['cc', 'framework']) {
    const library = join(folder, `tensorflow/libtensorflow_${part}.so.2`);
    symlinkSync(library, join(source, `deps/lib/libtensorflow_${part}.so.2`));
    symlinkSync(library, join(source, `deps/lib/libtensorflow${part === 'cc' ? '' : '_framework'}.so`));
  }
  const prefix = resolve(process.execPath, '../..');
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {};
  run(join(modules, '.bin/node-pre-gyp'), ['install', '--build-from-source'], {
    cwd: source,
    env: { ...process.env, ...headers },
  });

  const built = join(source, 'lib/napi-v8/tfjs_binding.node');
  const same = readFileSync(built).equals(readFileSync(committed));
  console.log(`built      ${await sha256File(built)} with ${run('g++', ['--version']).split('\n')[0]}`);
  console.log(`committed  ${await sha256File(committed)}`);
  console.log(
    same ? 'the same bytes' : 'NOT the same bytes (g++ 12.2.0 of Debian 12 made the committed ones)',
  );
  if (flags.write) copyFileSync(built, committed);
  else if (!same) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
