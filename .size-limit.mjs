// What each entry costs a page: bundled, minified and gzipped, with all that it imports. Workers and runtimes come on their own.
import { pageEntries } from './rolldown.size.config.mjs'

const limits = {
  // With comlink. The aim is 8 kB: docs/decisions/2026-11-25-size-of-the-main-entry.md.
  index: '12.5 kB',
  'ai-sdk': '1.5 kB',
  chat: '4.5 kB',
  'llama-cpp': '1.5 kB',
  onnx: '2 kB',
  openai: '3.5 kB',
  react: '4.5 kB',
  remote: '1.5 kB',
  'serve-openai': '5 kB',
  'web-llm': '2 kB',
}

export default pageEntries.map((entry) => {
  const limit = limits[entry]
  // Without one size-limit would only print the size.
  if (limit === undefined) throw new Error(`.size-limit.mjs has no limit for the entry "${entry}".`)
  return {
    name: entry === 'index' ? 'rivulet' : `rivulet/${entry}`,
    path: `.cache/size/${entry}.js`,
    limit,
    gzip: true,
  }
})
