import { expect, test } from 'vitest'
import { store } from './store.js'

test.each([
  ['owner/name', {}, 'https://huggingface.co/owner/name/resolve/main/'],
  [
    'owner/name@v2/file.gguf',
    { hubUrl: 'https://hub.example' },
    'https://hub.example/owner/name/resolve/v2/file.gguf',
  ],
  ['/models/stories', {}, `${location.origin}/models/stories/`],
  [new URL('https://example.com/a/b.gguf?signature=1'), {}, 'https://example.com/a/b.gguf'],
])('a model is listed by the URL of its folder or file: %s', (model, options, url) => {
  expect(store.locate(model, options)).toBe(url)
})

test('an invalid model is refused', () => {
  expect(() => store.locate('model')).toThrow(expect.objectContaining({ code: 'invalid-option' }))
})
