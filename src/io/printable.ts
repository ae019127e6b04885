/** Longest name shown whole in a message. */
const MAX_SHOWN = 200;

/**
 * Text from a file made safe for one line of a terminal: control characters (which could move the cursor or
 * recolour the screen) and direction overrides become `\u{…}`, and what is very long is cut.
 */
export function printable(text: string, maxLength = MAX_SHOWN): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return cut.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}
