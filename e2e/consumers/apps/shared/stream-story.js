import { createEngine } from 'rivulet'

const asked = new URLSearchParams(location.search)

/** The device that the page's address names. */
export const device = asked.get('device') ?? 'auto'

/** Streams a story into the page: an element for each chunk, which is what the test looks at. */
export async function streamStory(backend) {
  const answer = document.querySelector('output')
  const maxTokens = Number(asked.get('tokens') ?? 64)
  try {
    const engine = await createEngine({ backend, model: '/models/stories/' })
    const stream = engine.generate('Tell me a story about a dragon.', { maxTokens, temperature: 0 })
    for await (const { text } of stream) {
      const chunk = document.createElement('span')
      chunk.textContent = text
      answer.append(chunk)
    }
    answer.dataset.state = 'done'
  } catch (error) {
    answer.textContent = String(error)
    answer.dataset.state = 'failed'
  }
}
