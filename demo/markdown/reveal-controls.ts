/** Bidirectional controls, zero-width spaces and tag characters; not the joiners, which scripts and emoji need. */
const hiddenCharacters =
  /[\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFEFF\u{E0000}-\u{E007F}]/gu

/**
 * Writes out what could make code or a link read as something else than it is: "Trojan Source",
 * https://trojansource.codes. What is copied from the page is then what was seen.
 */
export function revealControls(text: string): string {
  return text.replace(hiddenCharacters, (character) => {
    const code = character.codePointAt(0)!.toString(16).toUpperCase()
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`
  })
}
