import type { BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import type { DownloadOptions } from './contract/download-options.js'
import type { RivuletError } from './contract/errors.js'
import type { ModelSource } from './contract/model-source.js'
import type { LoadProgress } from './contract/worker-api.js'
import type { GenerationRecord } from './generation-record.js'

/** What `createEngine` is told. */
export interface EngineOptions {
  /**
   * One backend, or several in order of preference: the first is taken that can run here and load its model. Local ones
   * that would be slow here, such as `onnx()` without a real GPU, come behind the local ones that would not. When one
   * is lost for good, what it was writing goes on with the next.
   */
  readonly backend: BackendFactory | readonly BackendFactory[]
  /** The model's folder or file, for backends that are given none of their own: `remote()` and `webLlm()` name theirs. */
  readonly model?: ModelSource | undefined
  /** How its files are fetched and kept; nothing of it concerns files of the visitor's. */
  readonly download?: DownloadOptions | undefined
  /** Called while the model is loaded, and when it is loaded again; a list's next backend begins at 0 again. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Gives up loading; the returned promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * Load the model again when its GPU is lost or its worker dies, and go on with the generations that ran: the same
   * streams, behind their last tokens. `result.recoveries` counts. `false` ends them with the error instead.
   * @default true
   */
  readonly recover?: boolean | undefined
  /** Called when the model is about to be loaded again, with what befell it: `device-lost` or `worker-failed`. */
  readonly onRecovery?: ((reason: RivuletError) => void) | undefined
  /** Called when a generation is over, however it ended, with a record of it that tracing takes; never with its texts. */
  readonly onGeneration?: ((record: GenerationRecord) => void) | undefined
}

const optionNames: readonly string[] = [
  'backend',
  'model',
  'download',
  'onProgress',
  'signal',
  'recover',
  'onRecovery',
  'onGeneration',
] satisfies (keyof EngineOptions)[]

/** @throws RivuletError `invalid-option` */
export function checkEngineOptions(options: EngineOptions): void {
  refuseUnknown('createEngine()', options, optionNames)
  const { backend, model, signal, recover } = options
  if ([backend].flat().some((candidate) => typeof candidate?.createWorker !== 'function')) {
    refuse('"backend" must be a backend, such as onnx(), or a list of them.')
  }
  const needsModel = [backend].flat().some((candidate) => candidate.model === undefined)
  if (needsModel && typeof model !== 'string' && (typeof model !== 'object' || model === null)) {
    refuse('"model" must be a string, a URL, a directory handle or a list of files.')
  }
  for (const name of ['onProgress', 'onRecovery', 'onGeneration'] as const) {
    const callback: unknown = options[name]
    if (callback !== undefined && typeof callback !== 'function') refuse(`"${name}" must be a function.`)
  }
  if (recover !== undefined && typeof recover !== 'boolean') refuse('"recover" must be true or false.')
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse('"signal" must be an AbortSignal.')
}
