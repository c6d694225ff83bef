/**
 * Text from outside (labels of an image, titles of findings, reasons that somebody typed), made so that it is only read: it breaks
 * out of no line, and no forge takes it for Markdown, HTML, a mention, a reference to an issue, or a word that closes one.
 */

/** What is shown in place of a secret, wherever one is hidden. */
export const masked = '[masked]';

/** Shown as nothing, and enough for a forge not to see a mention or a reference. */
const zeroWidthSpace = '\u200b';

/** Control, format (bidirectional overrides, zero-width), surrogate, private-use, line and paragraph separator characters. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+/gu;

/** Of a text without end, what is looked through for its first characters that show: a megabyte takes a fifth of a second. */
const longestRead = 64 * 1024;

/** What shows of a text, in one line. */
export function oneLine(text: string, longest: number): string {
  return shortened(text.slice(0, longestRead).replace(invisible, ' ').replace(/\s+/g, ' ').trim(), longest);
}

/** One line of plain text: for titles and commit messages. */
export function inert(text: string, longest = 200): string {
  return oneLine(text, longest)
    .replace(/[@#]/g, `$&${zeroWidthSpace}`)
    .replace(/\bGH-(?=\d)/gi, `$&${zeroWidthSpace}`)
    .replace(/:\/\//g, `:${zeroWidthSpace}//`)
    .replace(/\bwww\./gi, `$&${zeroWidthSpace}`);
}

/** The same as Markdown prose, every sign of Markdown and HTML escaped. */
export function prose(text: string, longest = 200): string {
  return inert(text, longest).replace(/[\\`*_{}[\]()<>#+!|~&$^=-]/g, '\\$&');
}

/** The same as Markdown code; a backtick, which would end it, becomes an apostrophe. */
export function code(text: string, longest = 200): string {
  return `\`${inert(text, longest).replaceAll('`', "'") || ' '}\``;
}

/** At most so many UTF-16 code units, never half of a character. */
export function shortened(text: string, longest: number, ending = '…'): string {
  if (text.length <= longest) return text;
  const cut = text.slice(0, longest - ending.length);
  return (/[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut) + ending;
}
