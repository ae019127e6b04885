#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';

/** oclif knows no status for a command that does not exist: it is a mistake of usage, like an unknown flag. */
const USAGE_STATUS = 2;

/** `sparselaw help fit` is `sparselaw fit --help`: many ask that way, and oclif has it in a plugin only. */
const helpAsFlag = ([first, ...rest]) => (first === 'help' ? [...rest, '--help'] : [first, ...rest]);

/** In a fresh clone: one line in place of a stack. */
function notBuilt() {
  process.stderr.write('This clone is not built: run `make` in it first (or npm ci && npm run build).\n');
  process.exit(1);
}

if (!existsSync(new URL('../dist/commands', import.meta.url))) notBuilt();

/** Commands that run tensor programs. */
const COMPUTING = /^(train|measure|evaluate|demo|sweep (run|retry|task)|engine bench)\b/;
if (COMPUTING.test(process.argv.slice(2).join(' '))) {
  const { restartWithHugePages } = await import('../dist/src/engine/huge-pages.js');
  await restartWithHugePages();
}
const { flush, handle, run } = await import('@oclif/core').catch((error) => {
  if (error.code === 'ERR_MODULE_NOT_FOUND') return notBuilt();
  throw error;
});

// `sparselaw … | head` closes the pipe early: what is left to print is not wanted, and that is no error.
process.stdout.on('error', (error) => {
  if (error.code === 'EPIPE') process.exit(0);
});

try {
  await run(helpAsFlag(process.argv.slice(2)), import.meta.url);
  await flush();
} catch (error) {
  const unknown = /^command (\S+) not found$/.exec(error?.message)?.[1];
  if (unknown) {
    const { unknownCommand } = await import('../dist/src/unknown-command.js');
    const manifest = JSON.parse(readFileSync(new URL('../oclif.manifest.json', import.meta.url), 'utf8'));
    error.message = unknownCommand(unknown.split(':'), Object.keys(manifest.commands));
    error.oclif = { ...error.oclif, exit: USAGE_STATUS };
  }
  if (unknown && process.argv.includes('--json')) {
    // As every command's errors (commands/_base.ts).
    const shown = { code: 'usage', message: error.message, suggestions: ['sparselaw --help'] };
    process.stdout.write(`${JSON.stringify({ error: shown }, null, 2)}\n`);
    process.exitCode = USAGE_STATUS;
  } else await handle(error);
}
