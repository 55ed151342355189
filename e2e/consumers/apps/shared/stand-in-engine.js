const words = ['Once', ' upon', ' a', ' time']

/** A stand-in for an engine, which would need a browser. It gives every prompt the same answer. */
export function createStandIn({ onDispose = () => {} } = {}) {
  return {
    info: { supports: { roles: ['user', 'assistant'], continuation: true, tokenCounting: false } },
    generate() {
      const usage = { promptTokens: 4, completionTokens: words.length }
      const result = { text: words.join(''), toolCalls: [], finishReason: 'stop', usage, latency: {} }
      return {
        result: Promise.resolve(result),
        async *[Symbol.asyncIterator]() {
          for (const text of words) {
            await new Promise((resolve) => setTimeout(resolve, 20))
            yield { channel: 'text', text }
          }
        },
      }
    },
    dispose: async () => onDispose(),
  }
}
