import { expect, it } from 'vitest'
import { createEngine } from './engine.js'
import { onnx } from './onnx.js'

it('says on a server that an engine needs a page', async () => {
  await expect(createEngine({ backend: onnx(), model: '/models/stories/' })).rejects.toMatchObject({
    code: 'backend-unavailable',
    message: expect.stringContaining('in a browser'),
  })
})

it.each([
  [{ device: 'gpu' }, 'device'],
  [{ dtype: 'q5' }, 'dtype'],
  [{ quantization: 'q4' }, 'quantization'],
  [{ conversationCacheBytes: -1 }, 'conversationCacheBytes'],
  [{ conversationCacheBytes: '1' }, 'conversationCacheBytes'],
  [{ keptPrefixBytes: -1 }, 'keptPrefixBytes'],
  [{ worker: 'worker.js' }, 'worker'],
])('onnx() refuses %j by name', (options, name) => {
  expect(() => onnx(options as never)).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) }),
  )
})
