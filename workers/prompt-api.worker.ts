import type { BrowserModelPort } from '../lib/contract/browser-model.js'
import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createPromptApiBackend } from './prompt-api/prompt-api-backend.js'

const paging = new Promise<MessagePort>((resolve) => {
  globalThis.addEventListener?.('message', ({ data }: MessageEvent<Partial<BrowserModelPort> | null>) => {
    if (data?.kind === 'rivulet-browser-model' && data.port) resolve(data.port)
  })
})

exposeMethods(createHost(createPromptApiBackend(paging)), globalThis)
