import { createEngine } from 'rivulet'

/** Streams a story into the page with the options in its URL. The test looks for one element per chunk. */
export async function streamStory(createBackend, model = '/models/stories/') {
  const query = new URLSearchParams(location.search)
  const answer = document.querySelector('output')
  try {
    const backend = createBackend(query.get('device') ?? 'auto')
    const engine = await createEngine({ backend, model })
    const maxTokens = Number(query.get('tokens') ?? 64)
    const stream = engine.generate('Tell me a story about a dragon.', { maxTokens, temperature: 0 })
    for await (const { text } of stream) {
      const chunk = document.createElement('span')
      chunk.textContent = text
      answer.append(chunk)
    }
    answer.dataset.device = engine.info.deviceDescription
    answer.dataset.state = 'done'
  } catch (error) {
    answer.textContent = String(error)
    answer.dataset.state = 'failed'
  }
}
