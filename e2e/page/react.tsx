// The guide's React examples, each as a separate app: `react.html?story` and `react.html?ai-sdk`.
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createEngine, type Engine } from 'rivulet'
import { onnx } from 'rivulet/onnx'
import { AiSdkChat } from './ai-sdk-chat.js'
import { readSlowly } from './read-slowly.js'
import { StoryChat } from './story-chat.js'

declare global {
  interface Window {
    reactRoot: ReturnType<typeof createRoot>
    /** Renders the app; again after `reactRoot.render(null)`. */
    showApp(): Promise<void>
    /** Only set with `?ai-sdk`. */
    appEngine: Engine
    appWorker: Worker
  }
}

window.reactRoot = createRoot(document.querySelector('#app')!)

async function createApp() {
  const query = new URLSearchParams(location.search)
  const model = query.get('model') ?? './models/stories/'
  if (query.has('story')) return <StoryChat model={model} />
  window.appWorker = new Worker(new URL('./faulty.worker.ts', import.meta.url), {
    type: 'module',
    name: 'app',
  })
  const backend = onnx({ device: 'wasm', worker: () => window.appWorker })
  window.appEngine = await createEngine({ backend, model, recover: false })
  return <AiSdkChat engine={readSlowly(window.appEngine)} />
}

window.showApp = async () => window.reactRoot.render(<StrictMode>{await createApp()}</StrictMode>)

await window.showApp()
