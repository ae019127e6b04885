// Forms of the same work, timed in turns: each process makes itself ready while no other runs, then all take a block
// of steps each, round after round, so that a card that grows warm or slow favours none.
//   node scripts/bench/turns.mjs [--rounds 5] [--warm-rounds 1] [--limit SECONDS] [--keep SECONDS] [--log DIR]
//     [--together] NAME=[SECONDS:]COMMAND …
// COMMAND (of a shell) is `gpu-step.mjs --in-turns …`, `torch_peer.py --in-turns …` or `text_time.py --in-turns …`: it
// prints {"ready":true}, then {"block":milliseconds of a step} for each line that it is sent, and what it likes when
// its input ends. One that is not ready in SECONDS (60), or ends, is left out; after the limit for all, nothing new is
// begun; so much of it is kept for the rounds (30 s). `--together`: all make themselves ready at once, for programs that
// lie compiled on the disk, where nothing is left to be tuned that others could disturb. Prints a table (medians and all
// blocks, and each median as a share of the first's), then each form's last line.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { median } from '../../dist/src/median.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    'warm-rounds': { type: 'string', default: '1' },
    limit: { type: 'string', default: '3600' },
    keep: { type: 'string', default: '30' },
    together: { type: 'boolean', default: false },
    log: { type: 'string' },
  },
});
const began = performance.now();
const secondsLeft = () => Number(flags.limit) - (performance.now() - began) / 1000;
/** The longest that a block may take. */
const BLOCK_SECONDS = 60;

if (flags.log) mkdirSync(flags.log, { recursive: true });

/** Gives up after some seconds. */
async function within(seconds, promise) {
  const stop = new AbortController();
  const late = sleep(seconds * 1000, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`not within ${seconds} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

function start(name, command) {
  // A process group of its own, so that all that the shell starts ends with it.
  const child = spawn('bash', ['-c', command], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const log = flags.log ? createWriteStream(join(flags.log, `${name}.log`)) : undefined;
  child.stderr.on('data', (bytes) => log?.write(bytes));
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const form = { name, blocks: [], last: '', failed: undefined };
  /** The next JSON line with this key; null at the end. */
  const answer = async (key) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) return null;
      log?.write(`${value}\n`);
      form.last = value;
      if (value.startsWith('{') && key && key in JSON.parse(value)) return JSON.parse(value)[key];
    }
  };
  const ask = async (seconds, key) => {
    if (form.failed) return undefined;
    try {
      const given = await within(seconds, answer(key));
      if (given === null && key) throw new Error('it ended');
      return given;
    } catch (error) {
      form.failed = error.message;
      form.kill();
      return undefined;
    }
  };
  return Object.assign(form, {
    kill() {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    },
    ready: (seconds) => ask(seconds, 'ready'),
    block() {
      if (!form.failed) child.stdin.write('block\n');
      return ask(BLOCK_SECONDS, 'block');
    },
    async finish() {
      child.stdin.end();
      // What a process does after its last words is not waited for.
      await ask(Math.max(1, Math.min(BLOCK_SECONDS, secondsLeft())), 'milliseconds');
      form.kill();
    },
  });
}

const forms = [];
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const form of forms) form.kill();
    process.exit(1);
  });
}
async function begin(each) {
  const [, name, seconds = '60', command] = /^([^=]+)=(?:(\d+):)?(.*)$/s.exec(each);
  const since = performance.now();
  const form = start(name, command);
  forms.push(form);
  await form.ready(Math.max(0.1, Math.min(Number(seconds), secondsLeft() - Number(flags.keep))));
  form.startSeconds = (performance.now() - since) / 1000;
  console.error(`${name}: ${form.failed ?? 'ready'} after ${form.startSeconds.toFixed(1)} s`);
}
if (flags.together) await Promise.all(positionals.map(begin));
else for (const each of positionals) await begin(each);
const warm = Number(flags['warm-rounds']);
for (let round = 0; round < warm + Number(flags.rounds) && secondsLeft() > 0; round++) {
  for (const form of forms) {
    const milliseconds = await form.block();
    if (milliseconds !== undefined && round >= warm) form.blocks.push(milliseconds);
  }
}
const first = median(forms[0].blocks) ?? Number.NaN;
for (const { name, blocks, failed, startSeconds } of forms) {
  const middle = median(blocks);
  const figures = blocks.length
    ? [middle.toFixed(3), (middle / first).toFixed(4), blocks.map((each) => each.toFixed(3)).join(' ')]
    : [failed];
  console.log([name.padEnd(24), ...figures, `(ready after ${startSeconds.toFixed(1)} s)`].join('  '));
}
// One after another: what they measure at their end, they measure on an idle device.
for (const form of forms) {
  await form.finish();
  console.log(`${form.name}: ${form.last}`);
}
