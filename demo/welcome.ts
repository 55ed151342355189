import type { ModelChoice } from './model-choice.js'
import { pageElement } from './page-element.js'

/** What an empty chat shows. */
export interface Welcome {
  describe(choice: ModelChoice): void
  show(part: 'nothing' | 'words' | 'words and suggestions'): void
}

const suggestions = [
  'Tell me a story about a dragon.',
  'Tell me a story about a little boat on a river.',
  'Tell me a story about a girl who finds a key.',
]

export function createWelcome(onSuggestion: (text: string) => void): Welcome {
  const welcome = pageElement('welcome', HTMLElement)
  const title = pageElement('welcome-title', HTMLElement)
  const text = pageElement('welcome-text', HTMLElement)
  const list = pageElement('suggestions', HTMLUListElement)
  for (const suggestion of suggestions) {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = suggestion
    button.addEventListener('click', () => onSuggestion(suggestion))
    const item = document.createElement('li')
    item.append(button)
    list.append(item)
  }
  return {
    describe({ model, backend, server }) {
      title.textContent = model ? 'Ask it anything' : 'Ask for a story'
      if (backend === 'remote')
        text.textContent = `The answers come from ${server}: what you write is sent there.`
      else if (model) text.textContent = 'The model runs in this tab. Nothing you write leaves it.'
      else {
        text.textContent =
          'A very small model makes one up, right here in this tab. Nothing you write leaves it.'
      }
    },
    show(part) {
      welcome.hidden = part === 'nothing'
      list.hidden = part !== 'words and suggestions'
    },
  }
}
