import type { Engine, TokenStream } from 'rivulet'

/**
 * Returns the engine with streams whose readers pause before each chunk. The small model's whole answer is otherwise there
 * before a test can interrupt it.
 */
export function readSlowly(engine: Engine, pauseMs = 25): Engine {
  const slow = Object.create(engine) as { generate: Engine['generate'] } & Engine
  slow.generate = (...request) => {
    const stream = engine.generate(...request)
    const getReader = stream.getReader.bind(stream) as TokenStream['getReader']
    const getSlowReader = () => {
      const reader = getReader()
      const read = reader.read.bind(reader)
      reader.read = async () => {
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
        return read()
      }
      return reader
    }
    stream.getReader = getSlowReader as TokenStream['getReader']
    return stream
  }
  return slow
}
