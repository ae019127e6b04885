import { withoutControls } from '../errors.js';

/** Longest name shown whole in a message. */
const MAX_SHOWN = 200;

/**
 * Text from a file made safe for one line of a terminal: control characters (which could move the cursor or
 * recolour the screen) and direction overrides become `\u{…}`, and what is very long is cut.
 */
export function printable(text: string, maxLength = MAX_SHOWN): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return withoutControls(cut);
}
