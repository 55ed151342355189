import { expect, test } from 'vitest'
import { locateStored } from './locate-stored.js'

const base = 'https://example.org/some/deep/path/?model=x'

test.each([
  ['owner/name', 'https://huggingface.co/owner/name/resolve/main/'],
  ['owner/name@v2', 'https://huggingface.co/owner/name/resolve/v2/'],
  ['owner/name/file.gguf', 'https://huggingface.co/owner/name/resolve/main/'],
  ['owner/name@v2/file.gguf', 'https://huggingface.co/owner/name/resolve/v2/'],
  ['./models/stories/', 'https://example.org/some/deep/path/models/stories/'],
  ['/models/stories', 'https://example.org/models/stories/'],
  ['../models/stories.gguf', 'https://example.org/some/deep/models/'],
  ['https://example.com/a/b.gguf?signature=1', 'https://example.com/a/'],
  [new URL('https://example.com/a/b'), 'https://example.com/a/b/'],
])('%s is stored as %s', (source, folder) => {
  expect(locateStored(source, base)).toBe(folder)
})
