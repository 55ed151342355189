/**
 * Why a call or a stream failed. Codes are stable: match on them, never on the message.
 *
 * - `invalid-option`: an option or message is missing, misspelt or out of range.
 * - `prompt-too-long`: the prompt leaves no room for a token in the model's context.
 * - `chat-template-failed`: the model's own chat template refused the messages.
 * - `model-not-found`: a file that every model folder has answers 404.
 * - `model-invalid`: a model file is broken, cut short, or not what its name says.
 * - `model-unsupported`: the files are sound, but no code here runs this architecture or variant.
 * - `download-failed`: the network or the server failed while a model file was on its way.
 * - `integrity-failed`: a file's SHA-256 is not the one it must have. `details`: `file`, `expected`, `got`.
 * - `quota-exceeded`: the browser keeps no more for this site. `details`: `file`, `neededBytes`, `availableBytes`.
 * - `memory-exceeded`: the model is larger than this device or the given budget. `details`: `what`, `neededBytes`,
 *   `availableBytes`.
 * - `backend-unavailable`: none of the given backends can run in this browser.
 * - `script-failed`: a script of this library, which `createEngine` fetches, could not be loaded.
 * - `worker-failed`: the worker could not start, or died.
 * - `device-lost`: the GPU was taken away: its driver or process crashed, or the computer slept.
 * - `connection-failed`: the server of `remote()` cannot be reached, turns requests away, or broke off.
 * - `generation-failed`: the runtime failed while it computed.
 * - `queue-full`: more generations wait on this engine than it lets wait.
 * - `chat-busy`: a chat is writing an answer, and takes the next question behind it.
 * - `engine-disposed`: the engine was disposed before or during the call.
 */
export type ErrorCode =
  | 'invalid-option'
  | 'prompt-too-long'
  | 'chat-template-failed'
  | 'model-not-found'
  | 'model-invalid'
  | 'model-unsupported'
  | 'download-failed'
  | 'integrity-failed'
  | 'quota-exceeded'
  | 'memory-exceeded'
  | 'backend-unavailable'
  | 'script-failed'
  | 'worker-failed'
  | 'device-lost'
  | 'connection-failed'
  | 'generation-failed'
  | 'queue-full'
  | 'chat-busy'
  | 'engine-disposed'

export type ErrorDetails = Readonly<Record<string, string | number>>

/** The one error type of this library. It crosses the worker boundary whole. */
export class RivuletError extends Error {
  override readonly name = 'RivuletError'
  readonly code: ErrorCode
  /** What the generation had said before it failed; empty outside a generation. */
  text: string
  /** The figures of the message, for the codes that name them; empty for the others. */
  readonly details: ErrorDetails

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; text?: string; details?: ErrorDetails } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.text = options.text ?? ''
    this.details = options.details ?? {}
  }
}

/** `error` itself where it already has a code; else wrapped, so that a caller sees one error type. */
export function asRivuletError(error: unknown, code: ErrorCode, what: string): RivuletError {
  if (error instanceof RivuletError) return error
  return new RivuletError(code, `${what}: ${describeError(error)}`, { cause: error })
}

/** A message can quote a whole file. */
const maxDescriptionLength = 500

/** A thrown value in few words. */
export function describeError(error: unknown): string {
  const words = error instanceof Error ? error.message || error.name : String(error)
  return words.length > maxDescriptionLength ? `${words.slice(0, maxDescriptionLength)} …` : words
}
