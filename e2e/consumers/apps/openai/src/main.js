import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'

globalThis.engine = await createEngine({ backend: onnx(), model: './models/stories/' })
globalThis.messages = [{ role: 'user', content: 'Tell me a story about a dragon.' }]
// The test writes this module from the guide.
await import('./example.js')
document.body.dataset.state = 'done'
