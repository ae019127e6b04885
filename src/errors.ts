/** Exit statuses that a failed command may end with; 0 is success, see README "Exit status". */
export const EXIT = { bug: 1, usage: 2, input: 3, engine: 4, numerics: 5, interrupted: 6 } as const;

export interface ErrorDetails {
  /** Stable, machine-readable name such as `missing-file`. */
  code: string;
  /** What to type or change next; each a full sentence or a command. */
  suggestions?: string[];
  cause?: unknown;
}

/** Characters that move the cursor, recolour a terminal or turn the direction of text. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu;
/** Those that JSON.stringify leaves as they are; line ends are its own. */
const JSON_CONTROLS = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;

/** JSON text of the same value in which such characters are escapes. */
export const escapeControls = (json: string): string =>
  json.replace(JSON_CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Shows control characters of a text from a file as `\u{…}`, so that it can only be read. */
export const withoutControls = (text: string): string =>
  text.replace(CONTROLS, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);

/** `withoutControls` for text of several lines. */
export const cleanLines = (text: string): string => text.split('\n').map(withoutControls).join('\n');

/** The one error type commands turn into a line, an exit status and, under `--json`, an object. */
export class SparselawError extends Error {
  override readonly name = 'SparselawError';
  readonly code: string;
  readonly suggestions: string[];

  constructor(
    message: string,
    readonly exitStatus: (typeof EXIT)[keyof typeof EXIT],
    details: ErrorDetails,
  ) {
    super(cleanLines(message), { cause: details.cause });
    this.code = details.code;
    this.suggestions = (details.suggestions ?? []).map(cleanLines);
  }
}

/** The command line is wrong (status 2). */
export const usageError = (message: string, details: ErrorDetails) =>
  new SparselawError(message, EXIT.usage, details);
/** A file or its content is wrong (status 3): the message names the file and the line, column or tensor. */
export const inputError = (message: string, details: ErrorDetails) =>
  new SparselawError(message, EXIT.input, details);
/** An engine or device is missing or failed (status 4). */
export const engineError = (message: string, details: ErrorDetails) =>
  new SparselawError(message, EXIT.engine, details);
/** Training diverged or nothing could be fitted (status 5). */
export const numericsError = (message: string, details: ErrorDetails) =>
  new SparselawError(message, EXIT.numerics, details);
/** Stopped by the user; what was done is saved and can be resumed (status 6). */
export const interruptedError = (message: string, details: ErrorDetails) =>
  new SparselawError(message, EXIT.interrupted, details);
