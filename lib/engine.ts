import type { PartialValueOf, ValueOf } from './answer-value.js'
import type { BackendFactory } from './backend-factory.js'
import { checkDownloadOptions } from './download-options.js'
import { RivuletError } from './contract/errors.js'
import { locateModel } from './locate-model.js'
import type {
  GenerateOptions,
  PrefillOptions,
  Prompt,
  PromptOptions,
  ResponseFormat,
} from './contract/request.js'
import type { ModelInfo } from './contract/worker-api.js'
import { checkEngineOptions, type EngineOptions } from './engine-options.js'
import { createLoadedEngine, openKeptWorker } from './loaded-engine.js'
import { callObserver, combineObservers, observeLoadErrors, type CombinedObserver } from './observer.js'
import { writePerformanceTimeline } from './performance-timeline.js'
import { startWorker, type Candidate, type SkippedBackend } from './start-worker.js'
import { createSwitchboard } from './shared/open-switchboard.js'
import { startShared, type Sharing } from './shared/start-shared.js'
import type { TokenStream } from './token-stream.js'
import { defaultSilenceTimeoutMs } from './watch-progress.js'

declare global {
  // For apps whose `lib` is older than ESNext.Disposable. Both declarations are as in TypeScript's library, and merge with it.
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
  interface AsyncDisposable {
    [Symbol.asyncDispose](): PromiseLike<void>
  }
}

/** What a prefill has done. */
export interface PrefillResult {
  /** True if the whole prompt is computed. False if a generation interrupted the prefill. */
  readonly isComplete: boolean
  /** True if the prompt is kept in the model store. Undefined without `keepPrefix`. */
  readonly isKept?: boolean
  /** The size of the kept prefix, in bytes. */
  readonly sizeBytes?: number
  /** Why the prompt is not kept: a sentence for the developer. */
  readonly reason?: string
}

/** A loaded model that runs in a worker. */
export interface Engine extends AsyncDisposable {
  /** Facts about the loaded model. `info` changes when a recovery moves to another device or backend. */
  readonly info: ModelInfo
  /** The unused backends of the list, each with the reason: the backend cannot run here, or could not load its model. */
  readonly skipped: readonly SkippedBackend[]
  /**
   * Starts a generation and returns its stream at once. Generations start in the order of the `generate` calls.
   * `info.supports.concurrency` is the number of generations that can run at the same time.
   * @throws RivuletError `invalid-option` or `engine-disposed`, before any work. The stream fails with later errors:
   *   `prompt-too-long`, `chat-template-failed`, `queue-full` (256 waiting), `generation-failed`, `worker-failed`,
   *   `device-lost`; `value-invalid`, only as the rejection of `stream.result`; `invalid-option` for values that only the model or its server can check; `connection-failed` and
   *   `model-not-found` from a server; and the codes of `createEngine`, if the model could not be loaded again after a loss
   */
  generate<Format extends ResponseFormat | undefined = undefined>(
    prompt: Prompt,
    options?: GenerateOptions<Format>,
  ): TokenStream<ValueOf<Format>, PartialValueOf<Format>>
  /**
   * Counts the tokens of a prompt as `generate` would with the same prompt and options: `usage.promptTokens`, with the chat
   * template, tools and control tokens. Nothing is computed. `onnx()` counts at once, also while it generates; with
   * `llamaCpp()`, a count waits in the queue.
   * @throws RivuletError `invalid-option`, also if `info.supports.tokenCounting` is false; `chat-template-failed`,
   *   `engine-disposed`, `queue-full`, `generation-failed`, `worker-failed`, `device-lost`; the reason of `options.signal`
   */
  countTokens(prompt: Prompt, options?: PromptOptions): Promise<number>
  /**
   * Computes a prompt into the KV cache, so that a `generate` whose prompt starts with it has its first token earlier: after
   * about one decode step, if the whole prompt was computed. Call it while the app is idle, for example with the system prompt
   * or with the conversation before the user's next message. A prefill waits for the generations before it. A later
   * `generate` interrupts it, and reuses what is computed by then. Observers are not called.
   * With `keepPrefix: true`, the computed prompt is also kept in the model store. Later engines with the same model, dtype and
   * device use it by themselves, also after a reload, for every prompt that starts with the same tokens. A kept prefix is
   * checked before it is used. If it is damaged, it is removed, and the prompt is computed.
   * @returns a promise that resolves when the prompt is computed and kept, or a generation has interrupted the prefill
   * @throws RivuletError `invalid-option`, also if `info.supports.prefill` is false, or `keptPrefixes` with
   *   `keepPrefix`; `prompt-too-long`, `chat-template-failed`,
   *   `engine-disposed`, `queue-full`, `generation-failed`, `worker-failed`, `device-lost`; the reason of `options.signal`
   */
  prefill(prompt: Prompt, options?: PrefillOptions): Promise<PrefillResult>
  /**
   * Cancels all generations, then frees the model and its worker. A shared worker is freed after its last engine. May be
   * called again.
   */
  dispose(): Promise<void>
}

/**
 * Loads a model into a worker.
 * @throws RivuletError `invalid-option`, `backend-unavailable`, `model-not-found`, `model-invalid`, `model-unsupported`,
 *   `connection-failed`, `download-failed`, `integrity-failed`, `quota-exceeded`, `memory-exceeded`, `worker-failed`;
 *   `device-lost` if the GPU was lost three times during the load, or once with `recover: false`; if no backend of a list works,
 *   `backend-unavailable` with all reasons; or the reason of `signal`
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  checkEngineOptions(options)
  const { download = {}, onProgress, signal, recover = true, onRecovery, route } = options
  const request = checkDownloadOptions(download)
  if (typeof document === 'undefined') {
    throw new RivuletError(
      'backend-unavailable',
      'createEngine() needs a page: call it in a browser, not on a server.',
    )
  }
  const candidates = await locateModels(options)
  const observer = combineObservers([writePerformanceTimeline(), ...[options.observer ?? []].flat()])
  const { silenceTimeoutMs = defaultSilenceTimeoutMs } = options
  const plan = {
    candidates,
    download: request,
    persist: download.persist ?? true,
    onProgress,
    onReload: recover ? (reason: RivuletError) => callObserver(() => onRecovery?.(reason)) : undefined,
    silenceTimeoutMs,
  }
  const sharing = readSharing(options, observer)
  const start = observeLoadErrors(
    sharing ? startShared.bind(undefined, plan, sharing) : startWorker.bind(undefined, plan),
    observer,
  )
  const recovery = { candidates, start, onRecovery, onLoad: observer.onLoad }
  const open = route
    ? await route.open(recovery, recover, signal)
    : openKeptWorker(await start(new Set(), signal), recover ? recovery : undefined)
  return createLoadedEngine(open, recover, observer)
}

const defaultLingerMs = 2000

/** @returns undefined without `host: 'shared'` */
function readSharing({ host = 'tab' }: EngineOptions, observer: CombinedObserver): Sharing | undefined {
  if (host === 'tab') return undefined
  const { lingerMs = defaultLingerMs, worker = createSwitchboard } = host === 'shared' ? {} : host
  return {
    lingerMs,
    createSwitchboard: worker,
    onEngines: (engines) => observer.onShare({ engines }),
  }
}

function locateModels({ backend, model, download }: EngineOptions): Promise<readonly Candidate[]> {
  const place = { base: document.baseURI, hubUrl: download?.hubUrl && String(download.hubUrl) }
  const locate = async (candidate: BackendFactory): Promise<Candidate> => {
    const source = candidate.model.kind === 'source' ? candidate.model.source : model
    const isNamed = candidate.model.kind === 'named' || source === undefined
    const { takesFile } = candidate
    const located = isNamed ? undefined : await locateModel(source, { ...place, takesFile })
    return { backend: candidate, model: located ?? { kind: 'none' } }
  }
  return Promise.all([backend].flat().map(locate))
}
