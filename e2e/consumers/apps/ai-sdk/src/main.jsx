import { createRoot } from 'react-dom/client'
import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'
// The test writes this component from the guide.
import { AiSdkChat } from './ai-sdk-chat'

const engine = await createEngine({ backend: onnx(), model: './models/stories/' })
if (location.search === '?stream-text') {
  globalThis.engine = engine
  // The test writes this module from the guide, too.
  await import('./example.js')
} else {
  createRoot(document.querySelector('#app')).render(<AiSdkChat engine={engine} />)
}
