/** Markup that is safe to insert as it is. Made only by `html`, `raw` and functions of this room. */
export interface Html {
  readonly markup: string;
}

type Part = Html | string | number | null | undefined | false | readonly Part[];

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
/** Control characters that no HTML document may hold, and direction overrides that could make text lie. */
const UNWANTED = /(?![\t\n\r])\p{Cc}|\p{Cs}|[\u202a-\u202e\u2066-\u2069\ufffe\uffff]/gu;

/** Text as HTML text or attribute value. */
export const escapeHtml = (text: string) =>
  text.replace(UNWANTED, '\ufffd').replace(/[&<>"']/g, (character) => ESCAPES[character]!);

export const raw = (markup: string): Html => ({ markup });

function flatten(part: Part): string {
  if (part === null || part === undefined || part === false) return '';
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  if ('markup' in part) return part.markup;
  return part.map(flatten).join('');
}

/** Template tag: every inserted string is escaped unless it is `Html` already. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  let markup = strings[0]!;
  for (const [i, part] of parts.entries()) markup += flatten(part) + strings[i + 1]!;
  return { markup };
}

/** JSON for a `<script type="application/json">`: nothing in it can end the element or open a comment. */
export const scriptJson = (value: unknown) =>
  JSON.stringify(value)
    .replaceAll('<', '\\u003c')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');

/** A program for an inline `<script>`: a `</script` inside one of its strings is cut in two. */
export const scriptText = (program: string) =>
  program
    .replace(/^\/\/[#@] sourceMappingURL=.*$/gm, '')
    .replace(/<\/(script)/gi, '<\\/$1')
    .replace(/<!--/g, '<\\!--');
