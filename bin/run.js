#!/usr/bin/env node
import { flush, handle, run } from '@oclif/core';

/** oclif knows no status for a command that does not exist: it is a mistake of usage, like an unknown flag. */
const USAGE_STATUS = 2;

try {
  await run(process.argv.slice(2), import.meta.url);
  await flush();
} catch (error) {
  if (/^command \S+ not found$/.test(error?.message)) {
    error.message = `${error.message.replaceAll(':', ' ')}; see sparselaw --help`;
    error.oclif = { ...error.oclif, exit: USAGE_STATUS };
  }
  await handle(error);
}
