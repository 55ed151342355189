const words = ['Once', ' upon', ' a', ' time']

/** A stand-in for an engine, which would need a browser. It gives every prompt the same answer. */
export function createStandIn({ onDispose = () => {} } = {}) {
  return {
    info: { supports: { continuation: true } },
    generate() {
      const result = { text: words.join(''), finishReason: 'stop', usage: {}, latency: {} }
      return {
        result: Promise.resolve(result),
        async *[Symbol.asyncIterator]() {
          for (const text of words) {
            await new Promise((resolve) => setTimeout(resolve, 20))
            yield { text }
          }
        },
      }
    },
    dispose: async () => onDispose(),
  }
}
