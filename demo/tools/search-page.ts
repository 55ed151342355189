const maxPassages = 5
const maxPassageLength = 300

/** The parts of the page that are searched: earlier messages, and the figures. Not the question that is being answered. */
const searched =
  '.turn:nth-last-child(n + 3) .turn-text, .turn:nth-last-child(n + 3) .answer-value, .figures .running, .figures .readout'

/**
 * Returns the passages of the page that contain most of the words, best first.
 * @throws Error with a sentence for the model
 */
export function searchPage(query: string, root: ParentNode): readonly string[] {
  const words = query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  if (words.length === 0) throw new Error('The query contains no words.')
  const passages = Array.from(root.querySelectorAll(searched)).flatMap(readPassages)
  const scored = passages.map((passage) => {
    const text = passage.toLowerCase()
    return { passage, score: words.filter((word) => text.includes(word)).length }
  })
  return scored
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, maxPassages)
    .map(({ passage }) => passage)
}

/** Returns the texts of an element's parts; a figure, its name and its explanation are one passage. */
function readPassages(element: Element): readonly string[] {
  const texts = element.matches('.figures *')
    ? [readTexts(element).join(' ')]
    : Array.from(element.childNodes, ({ textContent }) => textContent?.trim() ?? '')
  return texts.filter(Boolean).map((text) => text.slice(0, maxPassageLength))
}

function readTexts(element: Element): readonly string[] {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
  const texts: string[] = []
  while (walker.nextNode()) texts.push(walker.currentNode.textContent?.trim() ?? '')
  return texts.filter(Boolean)
}
