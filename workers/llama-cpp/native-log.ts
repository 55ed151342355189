import { isNetworkFailure } from '../network-failure.js'

/** Facts that llama.cpp reports only in its log: where it placed the model, and why something failed. */
export interface NativeLog {
  /** The logger to pass to wllama. */
  readonly logger: Readonly<Record<'debug' | 'log' | 'warn' | 'error', (...words: unknown[]) => void>>
  /** True if at least some of the model's weights are on a GPU. */
  readonly usesGpu: boolean
  /** The file type in llama.cpp's words, such as `Q4_K - Medium`. */
  readonly fileType: string | undefined
  /** True if the WebAssembly file could not be downloaded because of the network. */
  readonly isWasmUnreachable: boolean
  /** The first error message since `clearErrors`, or an empty string. Later errors are only its consequences. */
  readonly firstError: string
  clearErrors(): void
}

/** The explanation of an error event without a message. */
const notStarted = "it could not be started. Allow `worker-src blob:` in the page's CSP."

/**
 * Creates a logger for wllama and reads facts from the log.
 * @param onWorkerError called when wllama's worker fails: wllama reports such a failure only in its log
 */
export function readNativeLog(onWorkerError: (words: string) => void): NativeLog {
  let usesGpu = false
  let fileType: string | undefined
  let isWasmUnreachable = false
  let firstError = ''

  function read(...words: unknown[]): void {
    const line = words.map(String).join(' ')
    const gpuMebibytes = /^load_tensors:\s+WebGPU.* model buffer size =\s*([\d.]+)/.exec(line)?.[1]
    usesGpu ||= Number(gpuMebibytes) > 0
    isWasmUnreachable ||= line.startsWith('wasm streaming compile failed:') && isNetworkFailure(line)
    // A failure to start is reported only in these lines.
    if (/^(?:Aborted\(|failed to asynchronously prepare wasm)/.test(line)) onWorkerError(line)
    fileType ??= /^print_info: file type\s+= (.*?)\s*$/.exec(line)?.[1]
  }

  function readError(first: unknown): void {
    if (first instanceof Event) onWorkerError((first as Partial<ErrorEvent>).message || notStarted)
    // Skips stack traces, which are separate lines, and objects, whose message was logged before.
    else if (typeof first === 'string' && !first.startsWith('Stack trace')) firstError ||= first
  }

  return {
    logger: { debug: read, log: read, warn: read, error: readError },
    get usesGpu() {
      return usesGpu
    },
    get fileType() {
      return fileType
    },
    get isWasmUnreachable() {
      return isWasmUnreachable
    },
    get firstError() {
      return firstError
    },
    clearErrors() {
      firstError = ''
    },
  }
}
