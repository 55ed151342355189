/** The references that models commonly write. Others stay as they are written, so nothing is lost. */
const named: Readonly<Record<string, string>> = {
  amp: '&',
  apos: "'",
  bull: '•',
  cent: '¢',
  copy: '©',
  deg: '°',
  divide: '÷',
  emsp: '\u2003',
  ensp: '\u2002',
  euro: '€',
  frac12: '½',
  ge: '≥',
  gt: '>',
  hellip: '…',
  infin: '∞',
  laquo: '«',
  larr: '←',
  ldquo: '“',
  le: '≤',
  lsquo: '‘',
  lt: '<',
  mdash: '\u2014',
  micro: 'µ',
  middot: '·',
  minus: '−',
  nbsp: '\u00A0',
  ndash: '–',
  ne: '≠',
  para: '¶',
  pi: 'π',
  plusmn: '±',
  pound: '£',
  quot: '"',
  raquo: '»',
  rarr: '→',
  rdquo: '”',
  reg: '®',
  rsquo: '’',
  sect: '§',
  times: '×',
  trade: '™',
  yen: '¥',
}

/** Replaces `&amp;`, `&#8212;` and `&#x2014;` with the characters they stand for. */
export function decodeCharacterReferences(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]\w*));/g,
    (reference, decimal?: string, hexadecimal?: string, name?: string) => {
      if (name !== undefined) return (Object.hasOwn(named, name) ? named[name] : undefined) ?? reference
      return toCharacter(decimal === undefined ? Number.parseInt(hexadecimal!, 16) : Number(decimal))
    },
  )
}

function toCharacter(codePoint: number): string {
  const isCharacter =
    codePoint > 0 && codePoint <= 0x10_ff_ff && !(codePoint >= 0xd8_00 && codePoint <= 0xdf_ff)
  return isCharacter ? String.fromCodePoint(codePoint) : '\uFFFD'
}
