// In the lab's workers: counts what a generation's stream sends to the page, and what the page grants it. By the messages
// themselves, not by the library's word for what it promises: the only part of the demo that knows of internals.

/** Of the newest generation. */
export interface WireCounts {
  /** Its number: 1, 2, 3 … */
  generation: number
  sentChunks: number
  credits: number
}

/** As far as it is looked at: `lib/contract/stream-transfer.ts` has all of it. */
type WireMessage =
  | { readonly kind: 'credit' }
  | { readonly kind: 'chunk'; readonly value: { readonly kind: string } }
  | { readonly kind: 'end' | 'error' | 'cancel' }

/** Each of the library's streams has a channel of its own, which it makes in the worker; this must come before the first. */
export function countWire(): { readonly newest: Readonly<WireCounts> } {
  const seen: { newest: WireCounts } = { newest: { generation: 0, sentChunks: 0, credits: 0 } }
  globalThis.MessageChannel = class extends MessageChannel {
    constructor() {
      super()
      const counts = { generation: 0, sentChunks: 0, credits: 0 }
      const post = this.port1.postMessage.bind(this.port1) as (...message: unknown[]) => void
      this.port1.postMessage = (message: WireMessage, ...rest: unknown[]) => {
        if (message.kind === 'chunk' && message.value.kind === 'started') {
          counts.generation = seen.newest.generation + 1
          seen.newest = counts
        }
        if (message.kind === 'chunk' && message.value.kind === 'chunk') counts.sentChunks += 1
        post(message, ...rest)
      }
      this.port1.addEventListener('message', ({ data }: MessageEvent<WireMessage>) => {
        if (data.kind === 'credit') counts.credits += 1
      })
    }
  }
  return seen
}
