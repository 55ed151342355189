import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'

const query = new URLSearchParams(location.search)
const [input, answer] = [document.querySelector('input'), document.querySelector('p')]
const engine = await createEngine({
  backend: onnx({ device: query.get('device') }),
  model: query.get('model'),
})
let stream
addEventListener('keydown', async ({ key }) => {
  if (key === 'Escape') stream?.cancel()
  if (key !== 'Enter') return
  stream = engine.generate(input.value, { maxTokens: 400 })
  let text = ''
  for await (const chunk of stream) {
    text += chunk.text
    answer.textContent = text.trim()
  }
})
