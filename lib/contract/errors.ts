/**
 * Why a call or a stream failed. Codes are stable: match on them, never on the message.
 *
 * - `invalid-option`: an option or message is missing, misspelt or out of range.
 * - `prompt-too-long`: the prompt leaves no room for a token in the model's context.
 * - `chat-template-failed`: the model's chat template rejected the messages.
 * - `model-not-found`: the server answers 404 for a file that every model folder contains.
 * - `model-invalid`: a model file is damaged, cut short, or not what its name says.
 * - `model-unsupported`: the files are valid, but this library cannot run the architecture or variant.
 * - `download-failed`: the network or the server failed during the download of a model file.
 * - `integrity-failed`: a file's SHA-256 differs from the expected one.
 * - `quota-exceeded`: the browser's storage quota for this site is used up.
 * - `memory-exceeded`: the model is larger than the memory of this device or than `memoryBudgetBytes`.
 * - `backend-unavailable`: none of the listed backends can run in this browser.
 * - `worker-failed`: the worker could not start, or crashed.
 * - `device-lost`: the GPU was lost: its driver or process crashed, or the computer slept.
 * - `connection-failed`: the server of `remote()` is unreachable, rejects requests, or closed the connection too early.
 * - `generation-failed`: the runtime failed during the generation.
 * - `queue-full`: the engine's queue is full (256 waiting generations).
 * - `chat-busy`: a chat is still writing an answer, and takes the next question only after it.
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
  | 'queue-full'
  | 'chat-busy'
  | 'engine-disposed'

/** What `error.details` contains, by code. It is empty for every other code. */
export interface ErrorDetailsByCode {
  /** `option`: the option's name as the caller wrote it. Missing where the error is not about one option. */
  readonly 'invalid-option': { readonly option?: string }
  /** `file`: its path or URL. `expected` and `got`: the two hashes. */
  readonly 'integrity-failed': { readonly file: string; readonly expected: string; readonly got: string }
  /** `file` and `neededBytes` are missing for `webLlm()`, because its runtime stores the files itself. */
  readonly 'quota-exceeded': {
    readonly file?: string
    readonly neededBytes?: number
    readonly availableBytes: number
  }
  /** `what`: the part that is too large. All are missing where the runtime reports no sizes (`llamaCpp()`). */
  readonly 'memory-exceeded': {
    readonly what?: string
    readonly neededBytes?: number
    readonly availableBytes?: number
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
  /** The text that was generated before the failure; empty outside a generation. */
  text: string
  readonly details: ErrorDetails<Code>
}

/** One type for each code, so that a check of `code` also narrows `details`. */
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
    // Required where the code's details are.
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
// Cast: TypeScript cannot type a constructor by its arguments, so the class cannot say that it creates one type per code.
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
export type WrappingCode = Exclude<ErrorCode, 'integrity-failed' | 'quota-exceeded'>

/** Returns a `RivuletError` as it is. Wraps any other value in one, so that callers see only one error type. */
export function asRivuletError(error: unknown, code: WrappingCode, what: string): RivuletError {
  if (error instanceof RivuletError) return error
  return new RivuletError(code, `${what}: ${describeError(error)}`, { cause: error })
}

/** A message can quote a whole file. */
const maxDescriptionLength = 500

/** The message of a thrown value, shortened. */
export function describeError(error: unknown): string {
  const words = error instanceof Error ? error.message || error.name : String(error)
  return words.length > maxDescriptionLength ? `${words.slice(0, maxDescriptionLength)} …` : words
}
