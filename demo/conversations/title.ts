const maxCharacters = 60

/** A conversation's name until it is given another: its first question, on one line and cut behind a word. */
export function composeTitle(question: string): string {
  const characters = Array.from(question.replaceAll(/\s+/g, ' ').trim())
  if (characters.length <= maxCharacters) return characters.join('')
  const cut = characters.slice(0, maxCharacters)
  const lastSpace = cut.lastIndexOf(' ')
  // Some scripts have no spaces.
  return `${cut.slice(0, lastSpace > maxCharacters / 2 ? lastSpace : maxCharacters).join('')}…`
}
