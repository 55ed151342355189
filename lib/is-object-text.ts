/** True for the JSON text of an object, and for an empty text, which some servers send for a call without arguments. */
export function isObjectText(text: string): boolean {
  const trimmed = text.trim()
  if (trimmed === '') return true
  try {
    return trimmed.startsWith('{') && JSON.parse(trimmed) !== null
  } catch {
    return false
  }
}
