import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { findPlatformModel, nameLanguages } from './browser-model/platform.js'
import { serveBrowserModel } from './browser-model/serve-browser-model.js'
import type { BrowserModelOptions, BrowserModelPort } from './contract/browser-model.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { describeError } from './contract/errors.js'
import { isServer, serverReason } from './contract/is-server.js'

/** Options of `promptApi()`. */
export interface PromptApiOptions {
  /** The languages of the prompts and answers, as BCP 47 tags. Chrome warns without them. @default none */
  readonly languages?: readonly string[] | undefined
  /**
   * True if the browser may download its model first, which is several gigabytes. It starts a download only after a click of the
   * user. With `false`, the backend is available only if the browser has the model already.
   * @default false
   */
  readonly allowDownload?: boolean | undefined
  /** Creates the worker, for bundlers that do not find it. @default the package's worker */
  readonly worker?: (() => Worker) | undefined
}

/**
 * Runs the browser's own model: the Prompt API's `LanguageModel`, in Chrome and Edge. Nothing is downloaded. Put it first in a
 * list of backends: where the browser has no model, the next backend is used.
 *
 *     createEngine({ backend: [promptApi({ languages: ['en'] }), onnx()], model })
 *
 * What the API lacks is refused, and `engine.info.supports` says so: seeds, sampling options, log-probabilities, token ids, tools,
 * reasoning and raw text. A chunk of the browser counts as one token, also for `maxTokens`. The browser decides how control
 * tokens in a user's text are read, and how far it computes ahead of the reader. If its model is lost, the next backend of the
 * list continues the answer.
 * @throws RivuletError `invalid-option`
 */
export function promptApi(options: PromptApiOptions = {}): BackendFactory {
  refuseUnknown('promptApi()', options, [
    'languages',
    'allowDownload',
    'worker',
  ] satisfies (keyof PromptApiOptions)[])
  const { languages = [], allowDownload = false, worker = createWorker } = options
  if (!Array.isArray(languages) || languages.some((tag) => typeof tag !== 'string')) {
    refuse('promptApi({ languages }) must be a list of BCP 47 tags, such as ["en"].', 'languages')
  }
  if (typeof allowDownload !== 'boolean') {
    refuse('promptApi({ allowDownload }) must be true or false.', 'allowDownload')
  }
  if (typeof worker !== 'function') refuse('promptApi({ worker }) must be a function that returns a Worker.')
  const loadOptions: BrowserModelOptions = { languages: [...languages] }
  return {
    name: 'prompt-api',
    options: loadOptions,
    model: { kind: 'named' },
    checkAvailability: () => checkAvailability(loadOptions, allowDownload),
    createWorker: () => connectPage(worker()),
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/prompt-api.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-prompt-api',
  })
}

/** Connects a worker with the browser's model, which exists only in the page. Its sessions end with the worker. */
function connectPage(worker: Worker): Worker {
  const { port1, port2 } = new MessageChannel()
  const stop = serveBrowserModel(port1)
  worker.postMessage({ kind: 'rivulet-browser-model', port: port2 } satisfies BrowserModelPort, [port2])
  const terminate = worker.terminate.bind(worker)
  worker.terminate = () => {
    stop()
    terminate()
  }
  return worker
}

async function checkAvailability(
  { languages }: BrowserModelOptions,
  allowDownload: boolean,
): Promise<BackendAvailability> {
  if (isServer()) return { isAvailable: false, reason: serverReason }
  const model = findPlatformModel()
  if (!model) return { isAvailable: false, reason: 'This browser has no Prompt API (LanguageModel).' }
  try {
    const state = await model.availability(nameLanguages(languages))
    if (state === 'available') return { isAvailable: true }
    const isDownloadable = state === 'downloadable' || state === 'downloading'
    if (isDownloadable && allowDownload) return { isAvailable: true }
    const advice = isDownloadable
      ? 'The browser must download its model first. Set promptApi({ allowDownload: true }) to allow it.'
      : "The browser's model cannot run on this device, or not in these languages."
    return { isAvailable: false, reason: advice }
  } catch (error) {
    return { isAvailable: false, reason: `The browser's model does not answer: ${describeError(error)}` }
  }
}
