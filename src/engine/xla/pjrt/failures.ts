import { engineError, type SparselawError } from '../../../errors.js';
import { ERROR_CODES } from './layouts.js';

/** Longest part of a plugin's text that goes into a message; the whole is kept as the cause. */
const MESSAGE_LIMIT = 1000;

interface Kind {
  readonly code: string;
  readonly suggestions: readonly string[];
}

function kindOf(code: number, text: string, doing: string): Kind {
  if (code === 8 || /out of memory/i.test(text)) {
    return {
      code: 'out-of-memory',
      suggestions: [
        'Make each step smaller (fewer rows at once, more accumulation), or use a device with more memory.',
      ],
    };
  }
  if (/No registered implementation for (untyped )?custom call/i.test(text)) {
    return {
      code: 'unknown-custom-call',
      suggestions: ['The program calls a kernel that this device lacks: run it where it was meant to run.'],
    };
  }
  if (/No such compile option/i.test(text)) {
    return { code: 'unknown-compile-option', suggestions: ['Leave this option out for this plugin.'] };
  }
  if (doing.startsWith('compiling')) {
    return {
      code: 'compile-failed',
      suggestions: ['Keep the program with --dump-program DIR and look at the line named above.'],
    };
  }
  const suggestions = ['sparselaw doctor'];
  return { code: code === 12 ? 'plugin-unimplemented' : 'plugin-error', suggestions };
}

/** What a plugin answered, as an error of status 4: `doing` says in words what was asked of it. */
export function pluginFailure(code: number, text: string, doing: string): SparselawError {
  const line = text.replace(/\s+/g, ' ').trim();
  const short = line.length > MESSAGE_LIMIT ? `${line.slice(0, MESSAGE_LIMIT)} …` : line;
  const kind = kindOf(code, line, doing);
  return engineError(`XLA failed ${doing}: ${short} [${ERROR_CODES[code] ?? `code ${code}`}]`, {
    code: kind.code,
    suggestions: [...kind.suggestions],
    cause: new Error(text),
  });
}
