/** Bidirectional controls, zero-width spaces and tag characters. Zero-width joiners are allowed: scripts and emoji need them. */
const hiddenCharacters =
  /[\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFEFF\u{E0000}-\u{E007F}]/gu

/**
 * Replaces invisible characters with their escapes (`\u202E`), so that code and links cannot look like something else
 * ("Trojan Source", https://trojansource.codes) and copied text is exactly the visible text.
 */
export function revealControls(text: string): string {
  return text.replace(hiddenCharacters, (character) => {
    const code = character.codePointAt(0)!.toString(16).toUpperCase()
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`
  })
}
