const maxCharacters = 60

/** Returns a conversation's default title: its first question on one line, cut after a word. */
export function composeTitle(question: string): string {
  const characters = Array.from(question.replaceAll(/\s+/g, ' ').trim())
  if (characters.length <= maxCharacters) return characters.join('')
  const cut = characters.slice(0, maxCharacters)
  const lastSpace = cut.lastIndexOf(' ')
  // Some scripts do not use spaces.
  return `${cut.slice(0, lastSpace > maxCharacters / 2 ? lastSpace : maxCharacters).join('')}…`
}
