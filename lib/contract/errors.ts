/**
 * Why a call or a stream failed. Codes are stable: match on them, never on the message.
 *
 * - `invalid-option`: an option or message is missing, misspelt or out of range.
 * - `prompt-too-long`: the prompt fills the model's context, so that no token can be generated.
 * - `chat-template-failed`: the model's chat template rejected the messages, is not valid, or takes too long.
 * - `model-not-found`: the folder lacks a file that every model folder contains.
 * - `model-invalid`: a model file is damaged or incomplete, or its content does not match its name.
 * - `model-unsupported`: the files are valid, but this library cannot run the architecture or variant.
 * - `download-failed`: a file of a model or of a runtime could not be downloaded, or not be read or written in this browser's
 *   storage.
 * - `integrity-failed`: a file's SHA-256 differs from the expected one.
 * - `quota-exceeded`: the browser's storage quota for this site is used up.
 * - `memory-exceeded`: the model is larger than the memory of this device or than `memoryBudgetBytes`; or the conversation has
 *   become so long that its KV cache does not fit into the GPU's memory. The engine can answer shorter prompts then.
 * - `backend-unavailable`: none of the listed backends can run in this browser.
 * - `worker-failed`: the worker could not start, or crashed.
 * - `device-lost`: the page lost the GPU: the GPU's driver or process crashed, or the computer went to sleep.
 * - `connection-failed`: the server of `remote()` is unreachable, rejects requests, or closed the connection too early.
 * - `generation-failed`: the runtime failed during the generation.
 * - `value-invalid`: the answer is complete, but its value is not valid by `responseFormat`.
 * - `queue-full`: the engine's queue is full (256 waiting generations).
 * - `chat-busy`: the chat is still writing an answer. Send the next question after this answer has ended.
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
  | 'worker-failed'
  | 'device-lost'
  | 'connection-failed'
  | 'generation-failed'
  | 'value-invalid'
  | 'queue-full'
  | 'chat-busy'
  | 'engine-disposed'

/** What `error.details` contains for each code. For every other code, `error.details` is empty. */
export interface ErrorDetailsByCode {
  /** `option` is the option's name as the caller wrote it. It is missing if the error is not about one option. */
  readonly 'invalid-option': { readonly option?: string }
  /** `file` is the file's path or URL. `expected` and `got` are the expected hash and the actual hash. */
  readonly 'integrity-failed': { readonly file: string; readonly expected: string; readonly got: string }
  /** `file` and `neededBytes` are missing for `webLlm()`, because its runtime stores the files itself. */
  readonly 'quota-exceeded': {
    readonly file?: string
    readonly neededBytes?: number
    readonly availableBytes: number
  }
  /**
   * `what` is the part that is too large. All fields are missing if the runtime failed to allocate memory and reports no
   * sizes.
   */
  readonly 'memory-exceeded': {
    readonly what?: string
    readonly neededBytes?: number
    readonly availableBytes?: number
  }
  /**
   * `issues` are the problems that the schema of `responseFormat` found, with the keys that lead to the invalid part; empty if
   * the text could not be parsed or checked.
   */
  readonly 'value-invalid': {
    readonly issues: readonly { readonly message: string; readonly path: readonly PropertyKey[] }[]
  }
}

/** The details of an error with this code. */
export type ErrorDetails<Code extends ErrorCode = ErrorCode> = Code extends keyof ErrorDetailsByCode
  ? ErrorDetailsByCode[Code]
  : Readonly<Record<string, never>>

/** A `RivuletError` with this code, such as `RivuletErrorOf<'quota-exceeded'>`. */
export interface RivuletErrorOf<Code extends ErrorCode> extends Error {
  readonly name: 'RivuletError'
  readonly code: Code
  /** The text that was generated before the failure; empty if the error is not from a generation. */
  text: string
  readonly details: ErrorDetails<Code>
}

/** A union with one error type for each code, so that a check of `code` also narrows `details`. */
export type RivuletError = { [Code in ErrorCode]: RivuletErrorOf<Code> }[ErrorCode]

/** The optional fields of a new error. */
export interface RivuletErrorOptions<Code extends ErrorCode> {
  readonly cause?: unknown
  readonly text?: string
  readonly details?: ErrorDetails<Code>
}

/** The type of the class `RivuletError`. */
export interface RivuletErrorConstructor {
  new <Code extends ErrorCode>(
    code: Code,
    message: string,
    // `options` is required if the details of this code have required fields.
    ...options: Record<never, never> extends ErrorDetails<Code>
      ? [options?: RivuletErrorOptions<Code>]
      : [options: RivuletErrorOptions<Code> & { readonly details: ErrorDetails<Code> }]
  ): Extract<RivuletError, { readonly code: Code }>
  /** The type that `instanceof` narrows to. */
  readonly prototype: RivuletError
}

/**
 * The only error type of this library. It crosses the worker boundary with its code, text, details and cause.
 *
 *     if (error instanceof RivuletError && error.code === 'quota-exceeded') showFull(error.details.availableBytes)
 */
// Cast: in TypeScript, the instance type of a class cannot depend on the constructor's arguments, here on `code`.
export const RivuletError = class<Code extends ErrorCode> extends Error {
  override readonly name = 'RivuletError'
  readonly code: Code
  text: string
  readonly details: object

  constructor(code: Code, message: string, options: RivuletErrorOptions<Code> = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.text = options.text ?? ''
    this.details = options.details ?? {}
  }
} as unknown as RivuletErrorConstructor

/** The codes whose details may be empty. */
export type WrappingCode = Exclude<ErrorCode, 'integrity-failed' | 'quota-exceeded' | 'value-invalid'>

/** Returns a `RivuletError` unchanged. Wraps any other value in a new one, so that callers see only one error type. */
export function asRivuletError(error: unknown, code: WrappingCode, what: string): RivuletError {
  if (error instanceof RivuletError) return error
  return new RivuletError(code, `${what}: ${describeError(error)}`, { cause: error })
}

/** The maximum length of a description, in characters: the message of a thrown error can quote a whole file. */
const maxDescriptionLength = 500

/** Returns the message of a thrown value, shortened if it is too long. */
export function describeError(error: unknown): string {
  const words = error instanceof Error ? error.message || error.name : String(error)
  return words.length > maxDescriptionLength ? `${words.slice(0, maxDescriptionLength)} …` : words
}
