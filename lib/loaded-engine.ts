import { refuse } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import { checkRequest, type GenerateRequest } from './contract/options.js'
import type { ModelInfo } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { GenerationEnd } from './generation-record.js'
import { keepWorker, type Recovery } from './keep-worker.js'
import { observeLoad } from './observer.js'
import type { LoadedWorker } from './start-worker.js'
import { TokenStream } from './token-stream.js'

/** How long a busy worker has to free the GPU by itself before it is ended. */
const unloadTimeoutMs = 1000

/**
 * The engine of a worker whose model is loaded.
 * @param recovery without it a dead worker stays
 * @param recordGeneration told of each generation that is over, with what the model that ended it was
 */
export function createLoadedEngine(
  first: LoadedWorker,
  recovery: Recovery | undefined,
  recordGeneration: ((request: GenerateRequest, info: ModelInfo, end: GenerationEnd) => void) | undefined,
): Engine {
  observeLoad(first.info)
  const disposing = new AbortController()
  const kept = keepWorker(first, recovery, disposing.signal)
  let generations = 0
  let disposed: Promise<void> | undefined

  async function dispose(): Promise<void> {
    disposing.abort(disposedError())
    const { connection } = kept.current
    const timeout = new Promise((resolve) => setTimeout(resolve, unloadTimeoutMs))
    // The worker ends in any case; asking it first lets the runtime give the GPU its memory back.
    await Promise.race([connection.call((worker) => worker.unload()).catch(() => {}), timeout])
    connection.terminate(disposedError())
  }

  const disposeOnce = () => (disposed ??= dispose())

  return {
    get info() {
      return kept.current.info
    },
    get skipped() {
      return kept.current.skipped
    },
    generate(prompt, options) {
      const checked = checkRequest(prompt, options)
      const request = { ...checked, seed: checked.seed ?? drawSeed() }
      if (disposed) throw disposedError()
      checkCanContinue(request, kept.current.info)
      const order = generations++
      return new TokenStream({
        async take() {
          const { connection, info } = await kept.take(order)
          return {
            info,
            generate(said) {
              // Another backend can have taken over since.
              checkCanContinue(request, info)
              return connection.call((worker) => worker.generate({ ...request, ...(said && { said }) }))
            },
            closed: connection.closed,
            giveUp: connection.terminate,
            moveOn: (reason) => kept.moveOn(connection, reason),
          }
        },
        canRecover: recovery !== undefined,
        signal: options?.signal,
        disposed: disposing.signal,
        onEnd: (end) => recordGeneration?.(request, kept.current.info, end),
      })
    },
    dispose: disposeOnce,
    [Symbol.asyncDispose]: disposeOnce,
  }
}

function checkCanContinue({ begun }: GenerateRequest, { backend, canContinue }: ModelInfo): void {
  if (begun === undefined || canContinue) return
  refuse(
    `"continueFinalMessage" needs a backend that can go on with a text: ${backend} cannot, or is not said to.`,
  )
}

function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!
}

function disposedError(): RivuletError {
  return new RivuletError('engine-disposed', 'The engine was disposed. Create a new one with createEngine().')
}
