/** The printable characters that stand for the 256 bytes in a byte-level vocabulary (`bytes_to_unicode` of GPT-2). */
const byteCharacters: readonly string[] = (() => {
  let spare = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    return String.fromCharCode(isPrintable ? byte : spare++)
  })
})()

const bytesByCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]))

/** Returns the bytes that the characters of a byte-level token stand for; undefined if one stands for none. */
export function decodeByteCharacters(token: string): number[] | undefined {
  const bytes = Array.from(token, (character) => bytesByCharacter.get(character))
  return bytes.every((byte) => byte !== undefined) ? bytes : undefined
}

const encoder = new TextEncoder()

/** Returns the characters that stand for the text's UTF-8 bytes. */
export function encodeByteCharacters(text: string): string {
  if (/^[!-~]*$/.test(text)) return text
  let characters = ''
  for (const byte of encoder.encode(text)) characters += byteCharacters[byte]!
  return characters
}

/** Returns the characters that stand for the bytes. */
export function toByteCharacters(bytes: readonly number[]): string {
  return bytes.map((byte) => byteCharacters[byte]!).join('')
}
