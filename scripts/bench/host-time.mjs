/**
 * What a step costs Node's thread besides the plugin: with one that calls itself a GPU and computes nothing.
 *
 *   npm run build && node scripts/bench/host-time.mjs [DIST...] [-- LEAVES...]
 *
 * Needs cc. DIST: folders of builds to compare (default dist), each in a process of its own, in turn; LEAVES: tensors
 * of the state (default 114 438). Steps as training makes them, a batch uploaded and a value read for each; DEVICE_MS
 * (10) is how long a step takes, EXECUTE_MS (1) how long the plugin's `Execute` does. A line for each: processor
 * time of the thread, and how long it keeps the event loop, in milliseconds a step, in two blocks of 200 steps.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';

const STEPS = 200;
const here = import.meta.dirname;

if (process.env.HOST_PLUGIN === undefined) {
  const cut = process.argv.indexOf('--');
  const given = process.argv.slice(2, cut === -1 ? undefined : cut);
  const dists = given.length > 0 ? given : [join(here, '../../dist')];
  const leaves = cut === -1 ? ['114', '438'] : process.argv.slice(cut + 1);
  const folder = mkdtempSync(join(tmpdir(), 'host-time-'));
  const plugin = join(folder, 'host-plugin.so');
  const built = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', plugin, join(here, 'host-plugin.c')]);
  if (built.status !== 0) throw new Error(`cc failed: ${built.stderr}`);
  const env = { DEVICE_MS: '10', EXECUTE_MS: '1', ...process.env, HOST_PLUGIN: plugin };
  for (const count of leaves) {
    for (const dist of dists) {
      spawnSync(process.execPath, [import.meta.filename, resolve(dist), count], { env, stdio: 'inherit' });
    }
  }
  rmSync(folder, { recursive: true });
} else {
  await measure(process.argv[2], Number(process.argv[3]));
}

async function measure(dist, leaves) {
  const load = (path) => import(join(dist, 'src/engine', path));
  const [{ openPlugin }, { xlaEngine }, { disposeTree }] = await Promise.all(
    ['xla/open.js', 'xla/index.js', 'tree.js'].map(load),
  );
  const client = await openPlugin({
    path: process.env.HOST_PLUGIN,
    package: 'host-plugin',
    version: '',
    sha256: '',
    libraries: [],
    overrides: {},
    device: 'cuda',
  });
  const engine = xlaEngine(client, { device: 'cuda' });
  const upload = (values) =>
    engine.upload({
      dtype: values instanceof Float32Array ? 'float32' : 'int32',
      shape: [values.length],
      values,
    });
  const program = engine.compile(
    (state, { tokens, scalars }) => {
      const by = tf.mul(tf.sum(scalars), tf.sum(tokens));
      const next = Object.entries(state).map(([name, x]) => [name, tf.add(x, by)]);
      return { state: Object.fromEntries(next), metrics: tf.sum(state.leaf0) };
    },
    { name: 'step', donate: true },
  );
  const batch = new Int32Array(1024);
  const input = () => ({ tokens: upload(batch), scalars: upload(new Float32Array(3)) });
  const names = Array.from({ length: leaves }, (_, i) => `leaf${i}`);
  let state = Object.fromEntries(names.map((name) => [name, upload(new Float32Array(64))]));
  let taken = input();
  const read = async (metrics) => {
    await metrics.data();
    metrics.dispose();
  };
  const inARow = async (steps) => {
    let reading;
    for (let i = 0; i < steps; i++) {
      const result = await program.run(state, taken);
      state = result.state;
      disposeTree(taken);
      taken = input();
      await reading;
      reading = read(result.metrics);
    }
    await reading;
  };
  /** Processor time of this thread in milliseconds (Linux). */
  const threadTime = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
  await inARow(50);
  const blocks = [];
  for (let block = 0; block < 2; block++) {
    const [spent, busy] = [threadTime(), performance.eventLoopUtilization()];
    await inARow(STEPS);
    blocks.push({
      processor: ((threadTime() - spent) / STEPS).toFixed(3),
      thread: (performance.eventLoopUtilization(busy).active / STEPS).toFixed(3),
    });
  }
  console.log(JSON.stringify({ dist, leaves, blocks }));
  disposeTree([taken, state]);
  await client.close();
}
