import type { Wllama } from '@wllama/wllama/esm/index.min.js'
import { RivuletError, asRivuletError, describeError } from '../../lib/contract/errors.js'
import { isNetworkFailure } from '../network-failure.js'
import { isPage } from '../store/request-range.js'
import { readNativeLog, type NativeLog } from './native-log.js'

/** Options of llama.cpp's server, under the server's names, and wllama's callbacks. */
export interface CompletionOptions extends Readonly<Record<string, unknown>> {
  readonly stream: true
  readonly abortSignal: AbortSignal
  readonly onData: (chunk: unknown) => void
}

/** llama.cpp in a separate worker, with a loaded model. */
export interface LlamaCpp {
  readonly threads: number
  readonly isMultithreaded: boolean
  /** False if everything is computed on the CPU. */
  readonly usesGpu: boolean
  readonly fileType: string | undefined
  /** The length of the context of one completion, in tokens. */
  readonly contextLength: number
  /**
   * Runs a completion. As many may run at a time as llama.cpp has slots. Awaits `mayStep` before each result. llama.cpp computes
   * a token of each running completion for each result of one of them.
   * @throws RivuletError `prompt-too-long`, `generation-failed`, `worker-failed`; an error that `mayStep` throws
   */
  complete(options: CompletionOptions, mayStep: () => Promise<void>): Promise<void>
  /**
   * Counts the tokens of a prompt, as a completion counts them. Needs a free slot. Computes nothing, and keeps the KV cache.
   * @param controlToken the text of any control token of the model
   * @throws RivuletError `generation-failed`, `worker-failed`
   */
  countTokens(prompt: string, controlToken: string): Promise<number>
  exit(): Promise<void>
}

/** The URLs of the files of a build of llama.cpp. The script of the default build is inside wllama. */
export interface LlamaCppFiles {
  readonly wasm: string
  readonly script?: string
}

/**
 * Loads a model into llama.cpp.
 * @param parameters passed to wllama's `loadModel`
 * @param slots the number of completions that can run at the same time; they share the context of `parameters`
 * @throws RivuletError `model-invalid`, `model-unsupported`, `memory-exceeded`, `backend-unavailable`, `download-failed`,
 *   `worker-failed`
 */
export async function openLlamaCpp(
  files: readonly Blob[],
  build: LlamaCppFiles,
  parameters: Readonly<Record<string, unknown>>,
  slots: number,
): Promise<LlamaCpp> {
  let die = (_error: RivuletError) => {}
  const died = new Promise<never>((_, reject) => (die = reject))
  died.catch(() => {})
  const log = readNativeLog((words) =>
    die(new RivuletError('worker-failed', `llama.cpp's worker failed: ${words}`)),
  )
  // wllama 3.13.0 throws in its message listener if its WebAssembly cannot be loaded (`ProxyToWorker.onRecvMsg`). Without this
  // listener, the page would take that for a crash of this worker.
  const onError = (event: ErrorEvent) => {
    event.preventDefault()
    die(new RivuletError('worker-failed', `llama.cpp's worker failed: ${event.message}`))
  }
  self.addEventListener('error', onError)
  const wllama = await createWllama(build, log)
  try {
    await Promise.race([wllama.loadModel(files, parameters), died])
    if (wllama.getLoadedContextInfo().success === false) throw new Error('it reported no reason.')
  } catch (error) {
    await wllama.exit()
    throw explainLoadFailure(error, log, build)
  }
  self.removeEventListener('error', onError)
  const contextLength = wllama.getLoadedContextInfo().n_ctx / slots
  const holdBack = holdBackResults(wllama)
  let running = 0

  async function run<Result>(mayStep: () => Promise<void>, work: () => Promise<Result>): Promise<Result> {
    if (running === 0) log.clearErrors()
    running += 1
    holdBack(mayStep)
    try {
      return await Promise.race([work(), died])
    } catch (error) {
      throw explainFailure(error, log)
    } finally {
      running -= 1
    }
  }

  return {
    threads: wllama.getNumThreads(),
    isMultithreaded: wllama.isMultithread(),
    usesGpu: log.usesGpu,
    fileType: log.fileType,
    contextLength,
    complete: (options, mayStep) => run(mayStep, () => wllama.createCompletion(options)),
    countTokens: (prompt, controlToken) =>
      run(
        () => Promise.resolve(),
        () => countTokens(wllama, prompt, controlToken, contextLength),
      ),
    exit: () => wllama.exit(),
  }
}

/**
 * Counts the tokens of a prompt. wllama 3.13.0 has no tokenizer. llama.cpp's server names the number of tokens when it refuses a
 * prompt that is longer than the context, before it computes anything (`update_slots` in server-context.cpp). So the prompt is
 * sent with as many control tokens after it as the context has. Each of them is one token, whatever comes before it.
 */
async function countTokens(
  wllama: Wllama,
  prompt: string,
  controlToken: string,
  contextLength: number,
): Promise<number> {
  const tooLong = prompt + controlToken.repeat(contextLength)
  try {
    await wllama.createCompletion({ prompt: tooLong, max_tokens: 1, stream: true, onData: () => {} })
  } catch (error) {
    const tokens = /request \((?<tokens>\d+) tokens\)/.exec(describeError(error))?.groups?.tokens
    if (tokens === undefined) throw error
    return Number(tokens) - contextLength
  }
  throw new Error('it did not count the tokens of a prompt.')
}

async function createWllama({ wasm, script }: LlamaCppFiles, { logger }: NativeLog): Promise<Wllama> {
  const [{ Wllama: Runtime }, code] = await Promise.all([
    importWllama(),
    script === undefined ? undefined : fetchScript(script),
  ])
  // wllama's own store needs features that only secure pages have. It is not used here.
  const wllama = new Runtime({ default: wasm }, { logger, cacheManager: {}, modelManager: {} })
  // Without this call, wllama fetches the build from a CDN in browsers that lack JSPI or 64-bit memories.
  wllama.setCompat(code === undefined ? null : { worker: { code }, wasm }, 'firefox_safari')
  return wllama
}

async function importWllama() {
  try {
    return await import('@wllama/wllama/esm/index.min.js')
  } catch (error) {
    const code = isNetworkFailure(describeError(error)) ? 'download-failed' : 'backend-unavailable'
    throw asRivuletError(error, code, '@wllama/wllama could not be loaded')
  }
}

async function fetchScript(url: string): Promise<string> {
  const what = "The script of llama.cpp's compatibility build"
  let response: Response
  try {
    response = await fetch(url)
  } catch (error) {
    throw asRivuletError(
      error,
      'download-failed',
      `${what} could not be downloaded from ${url}. Check the network and the page's CSP (connect-src)`,
    )
  }
  // wllama puts the script into a function. A comment at the end, as Vite's development server adds, must not swallow the rest.
  if (response.ok && !isPage(response)) return `${await response.text()}\n`
  throw new RivuletError(
    'backend-unavailable',
    `${what} was not found: ${url} answered ${response.status}. Check llamaCpp({ compat }).`,
  )
}

/**
 * Makes every result await the function of its completion. wllama requests results from llama.cpp as fast as it can. The only
 * place to wait for a reader is between two requests, in wllama's private `proxy` (3.13.0, `Wllama.getResponse`).
 * @returns a function that sets the function of the completion that starts next
 */
function holdBackResults({ proxy }: Wllama): (wait: () => Promise<void>) => void {
  if (!proxy)
    throw new RivuletError(
      'backend-unavailable',
      'This version of @wllama/wllama is not supported. Install 3.13.0.',
    )
  const starting: (() => Promise<void>)[] = []
  const waits = new Map<number, () => Promise<void>>()
  const run = proxy.wllamaAction.bind(proxy)
  proxy.wllamaAction = async (name, body) => {
    if (name === 'completion') {
      const wait = starting.shift()
      const result = await run(name, body)
      if (wait && result.req_id !== undefined) waits.set(result.req_id, wait)
      return result
    }
    const { req_id: id = -1 } = body
    if (name === 'get_result') await waits.get(id)?.()
    if (name === 'cancel') waits.delete(id)
    const result = await run(name, body)
    if (result.has_more === false) waits.delete(id)
    return result
  }
  return (wait) => void starting.push(wait)
}

function explainLoadFailure(
  error: unknown,
  { firstError, isWasmUnreachable }: NativeLog,
  { wasm }: LlamaCppFiles,
): RivuletError {
  if (isWasmUnreachable) {
    return new RivuletError(
      'download-failed',
      `llama.cpp's WebAssembly could not be downloaded from ${wasm}. Check the network and the page's CSP (connect-src), then retry.`,
      { cause: error },
    )
  }
  const words = firstError || describeError(error)
  if (/does not match the expected version/.test(words)) {
    return new RivuletError(
      'backend-unavailable',
      `${wasm} is from another version of llama.cpp. Use the files of @wllama/wllama and @wllama/wllama-compat 3.13.0.`,
      { cause: error },
    )
  }
  const code = loadFailures.find(({ pattern }) => pattern.test(words))?.code
  if (!code && error instanceof RivuletError) return error
  return new RivuletError(code ?? 'model-invalid', `llama.cpp could not load the model: ${words}`, {
    cause: error,
  })
}

const loadFailures = [
  { pattern: /unknown (model architecture|pre-tokenizer|tokenizer)/i, code: 'model-unsupported' },
  { pattern: /alloc|out of memory/i, code: 'memory-exceeded' },
  { pattern: /fetch|wasm binary|WebAssembly|CompileError|LinkError/, code: 'backend-unavailable' },
] as const

/**
 * Matches the error of a C++ exception, which shows up as a result of invalid length. llama.cpp stays usable after a C++
 * exception. Any other `RuntimeError` ends llama.cpp.
 */
const cppException = /^Invalid typed array length/

function explainFailure(error: unknown, { firstError }: NativeLog): unknown {
  // Errors of the caller's code and wllama's AbortError stay unchanged.
  if (error instanceof RivuletError || (error as Error).name === 'AbortError') return error
  const words = describeError(error)
  if (/exceeds the available context size|larger than the max context/.test(words)) {
    return new RivuletError('prompt-too-long', `${words}. Shorten the prompt or drop old messages.`)
  }
  const isDead = (error as Error).name === 'RuntimeError' && !cppException.test(words)
  const reason = cppException.test(words) ? firstError : words
  return new RivuletError(isDead ? 'worker-failed' : 'generation-failed', `llama.cpp failed: ${reason}`, {
    cause: error,
  })
}
