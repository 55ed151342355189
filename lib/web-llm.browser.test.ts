import { expect, it } from 'vitest'
import { createEngine } from './engine.js'
import { webLlm } from './web-llm.js'

const createWorker = () =>
  new Worker(new URL('../workers/web-llm.worker.ts', import.meta.url), { type: 'module' })

it('an error of the runtime crosses the worker with its code (real package, real worker)', async () => {
  const backend = {
    ...webLlm({ model: 'Llama-3.2-1B', worker: createWorker }),
    // The tests' adapter computes on the CPU.
    checkAvailability: () => Promise.resolve({ isAvailable: true } as const),
  }
  await expect(createEngine({ backend })).rejects.toMatchObject({
    code: 'model-not-found',
    message: expect.stringContaining('Llama-3.2-1B-Instruct-q4f32_1-MLC'),
  })
})

it('records of one’s own may be relative to the page', () => {
  const record = { model: 'models/story/', model_id: 'story', model_lib: './story.wasm' }
  expect(webLlm({ model: 'story', modelRecords: [record] }).options).toMatchObject({
    modelRecords: [
      {
        model: new URL('models/story/', document.baseURI).href,
        model_lib: new URL('story.wasm', document.baseURI).href,
      },
    ],
  })
})
