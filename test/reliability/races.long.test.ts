import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { randomStream } from '../../src/random.js';
import { openStudy, recovered, runWithFault, trialFolder } from './harness.js';
import { SUBJECTS } from './subjects.js';

/** In parts: SPARSELAW_TEST_COUNT races from SPARSELAW_TEST_SEED on. */
const count = Number(process.env.SPARSELAW_TEST_COUNT ?? 20);
const seed = Number(process.env.SPARSELAW_TEST_SEED ?? 1);

it('two sweeps that race for the same runs, one of which is killed, leave what one leaves', async () => {
  const failures: string[] = [];
  const stream = randomStream(seed, 'races');
  const [run, task] = await Promise.all(
    ['sweep run', 'sweep task'].map((name) => openStudy(SUBJECTS.find((subject) => subject.name === name)!)),
  );
  try {
    for (let i = 0; i < count; i++) {
      const study = stream.integer(3) === 0 ? run! : task!;
      const { subject, operations, duration } = study;
      const folder = trialFolder(study, 'race');
      const at = 1 + stream.integer(operations.length);
      const lead = stream.integer(Math.ceil(duration));
      const [, other] = await Promise.all([
        runWithFault(folder, subject.args(false), { kind: 'kill', at, in: subject.struck }),
        sleep(lead).then(() => runWithFault(folder, subject.args(false))),
      ]);
      const where = `${subject.name} killed at ${at} (${operations[at - 1]}), another ${lead} ms after it began`;
      // It may find a run that failed, as the other's process was killed; nothing else is its to complain of.
      if (![0, 4].includes(other.status!)) failures.push(`${where}: status ${other.status}, ${other.stderr}`);
      const problem = await recovered(study, folder);
      if (problem) failures.push(`${where}: ${problem}`);
    }
  } finally {
    run!.remove();
    task!.remove();
  }
  console.log(`seed ${seed}: ${count} races, ${failures.length} failures`);
  expect(failures).toEqual([]);
});
