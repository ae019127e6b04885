// A training step of ours beside its peers, in one visit: node scripts/bench/compare-step.mjs PYTHON [small,base] [rounds]
// (after `npm run build`; PYTHON has torch and jax). Each program runs alone, in turn; leave the machine quiet.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../../dist/src/median.js';

const [python = 'python3', sizes = 'small,base', rounds = '5'] = process.argv.slice(2);
const here = (name) => new URL(name, import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'compare-step-'));
const STEPS = { small: '40', base: '10' };

function run(command, args) {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line));
}
console.log(
  `${cpus()[0].model}, ${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)} at the start`,
);
for (const size of sizes.split(',')) {
  const text = join(folder, `jax-${size}.mlir`);
  run(python, [here('step_jax.py'), size, '--text', text]);
  const ourFolder = join(folder, size);
  const texts = [join(ourFolder, 'train-step.mlir'), text].join();
  const results = [
    ...run('node', [here('train-step.mjs'), size, rounds, ourFolder]),
    ...run(python, [here('step_torch.py'), size, rounds]),
    ...run(python, [here('step_jax.py'), size, rounds]),
    // The two texts alone: ours is first.
    ...run('node', [here('step-text.mjs'), texts, rounds, STEPS[size]]),
  ];
  const ours = median(results[0].ms);
  console.log(`\n${size} | ms a step (rounds) | tokens/s | ours is`);
  for (const { what, ms, tokens, firstLoss, ...more } of results) {
    const each = ms.map((t) => t.toFixed(2)).join(' ');
    const rate = Math.round((tokens / median(ms)) * 1000);
    console.log(
      `${what} | ${median(ms).toFixed(2)} (${each}) | ${rate} | ${(median(ms) / ours).toFixed(2)} × | first loss ${firstLoss.toFixed(4)} ${JSON.stringify(more)}`,
    );
  }
}
console.log(`load ${loadavg()[0].toFixed(1)} at the end`);
rmSync(folder, { recursive: true });
