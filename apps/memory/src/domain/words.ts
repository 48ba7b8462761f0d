/** Longer runs of letters are cut, so that one of them cannot exceed what PostgreSQL takes as a lexeme (2,046 bytes). */
const WORD = wordPattern(64);

/**
 * The words of a text as search compares them: lower case, without repetition, in order of appearance. A word is a run of
 * letters and digits; scripts that do not put spaces between words count letter by letter. Done here and not by PostgreSQL's
 * parser, whose idea of a letter depends on the database's locale; nothing of a query's syntax survives it.
 */
export function wordsOf(text: string, wordsMax: number): string[] {
  const words = new Set<string>();
  for (const [word] of text.normalize('NFKC').toLowerCase().matchAll(WORD)) {
    words.add(word);
    if (words.size >= wordsMax) break;
  }
  return [...words];
}

function wordPattern(lettersMax: number): RegExp {
  const unspaced = ['Han', 'Hiragana', 'Katakana', 'Thai', 'Lao', 'Khmer', 'Myanmar']
    .map((script) => `\\p{Script=${script}}`)
    .join('');
  const letter = `[[\\p{L}\\p{N}]--[${unspaced}]]`;
  const more = `[[\\p{L}\\p{M}\\p{N}]--[${unspaced}]]`; // A mark belongs to the letter before it.
  return new RegExp(`[${unspaced}]|${letter}${more}{0,${lettersMax - 1}}`, 'gv');
}
