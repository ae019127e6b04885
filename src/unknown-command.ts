import { nearest } from './nearest.js';

/**
 * What to say of words that are no command.
 * @param words as they were typed, flags left out; some may have been meant as arguments
 * @param commands names of all commands, their words joined by ':'
 */
export function unknownCommand(words: readonly string[], commands: readonly string[]): string {
  const [first = '', second] = words;
  // Only commands that take no argument at all have what follows them taken for more of their name.
  const known = [words.slice(0, 2), words.slice(0, 1)].find((name) => commands.includes(name.join(':')));
  if (known) {
    const name = known.join(' ');
    return `Unexpected argument: ${words[known.length]}; see sparselaw ${name} --help`;
  }
  const ofTopic = commands.filter((id) => id.startsWith(`${first}:`)).map((id) => id.split(':')[1]!);
  const isTopic = ofTopic.length > 0 && second !== undefined;
  const near = isTopic
    ? nearest(second, ofTopic)
    : nearest(first, [...new Set(commands.map((id) => id.split(':')[0]!))]);
  const topic = isTopic ? `${first} ` : '';
  const meant = near ? `. Did you mean ${topic}${near}? See` : '; see';
  return `command ${topic}${isTopic ? second : first} not found${meant} sparselaw --help`;
}
