/** The printable characters that stand for the 256 bytes in a byte-level vocabulary (`bytes_to_unicode` of GPT-2). */
const byteCharacters: readonly string[] = (() => {
  let spare = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    return String.fromCharCode(isPrintable ? byte : spare++)
  })
})()

const encoder = new TextEncoder()

/** Returns the characters that stand for the text's UTF-8 bytes. */
export function encodeByteCharacters(text: string): string {
  if (/^[!-~]*$/.test(text)) return text
  let characters = ''
  for (const byte of encoder.encode(text)) characters += byteCharacters[byte]!
  return characters
}
