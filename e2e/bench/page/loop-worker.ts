// For both threads: calls the methods of a bench worker, one at a time, with a message for each token.
import type { Setup, Turn } from './subject.js'

/** The methods of a bench worker. */
export interface Loop {
  load(setup: Setup): Promise<void>
  /** Calls `onToken` for each token if the page takes the times. */
  answer(turn: Turn, onToken: () => void): Promise<LoopAnswer>
  unload(): Promise<void>
}

interface LoopAnswer {
  readonly promptTokens: number
  readonly text: string
  /** Set if the worker takes the times. */
  readonly times?: { readonly startMs: number; readonly tokenTimesMs: readonly number[] }
}

type Call =
  | { readonly method: 'load'; readonly argument: Setup }
  | { readonly method: 'answer'; readonly argument: Turn }
  | { readonly method: 'unload' }

type Message =
  | { readonly kind: 'ready' }
  | { readonly kind: 'token' }
  | { readonly kind: 'returned'; readonly result: LoopAnswer | undefined }
  | { readonly kind: 'thrown'; readonly reason: string }

/** For the page: resolves to the methods of `worker` when it is ready. */
export async function connectLoop(worker: Worker): Promise<Loop> {
  /** Waits until the worker is ready, returns or throws. */
  const waitForEnd = (onToken: () => void) =>
    new Promise<LoopAnswer | undefined>((resolve, reject) => {
      worker.onerror = ({ message }) => reject(new Error(`The worker failed: ${message}`))
      worker.onmessage = ({ data }: MessageEvent<Message>) => {
        if (data.kind === 'token') onToken()
        else if (data.kind === 'thrown') reject(new Error(data.reason))
        else resolve(data.kind === 'returned' ? data.result : undefined)
      }
    })
  const call = (request: Call, onToken = () => {}) => {
    const end = waitForEnd(onToken)
    worker.postMessage(request, [])
    return end
  }
  await waitForEnd(() => {})
  return {
    load: async (argument) => void (await call({ method: 'load', argument })),
    async answer(argument, onToken) {
      const answer = await call({ method: 'answer', argument }, onToken)
      if (!answer) throw new Error('The worker returned no answer.')
      return answer
    },
    unload: async () => void (await call({ method: 'unload' })),
  }
}

/** For the worker: serves calls from the page. */
export function serveLoop(loop: Loop): void {
  const post = (message: Message) => self.postMessage(message, {})
  const run = async (call: Call): Promise<LoopAnswer | undefined> => {
    if (call.method === 'answer') return loop.answer(call.argument, () => post({ kind: 'token' }))
    await (call.method === 'load' ? loop.load(call.argument) : loop.unload())
    return undefined
  }
  self.onmessage = async ({ data }: MessageEvent<Call>) => {
    try {
      post({ kind: 'returned', result: await run(data) })
    } catch (error) {
      post({
        kind: 'thrown',
        reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
    }
  }
  post({ kind: 'ready' })
}
