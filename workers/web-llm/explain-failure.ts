import { RivuletError, describeError, type ErrorCode } from '../../lib/contract/errors.js'

/** web-llm's errors have names of their own, and so have the browser's that it lets through. */
const codes: Readonly<Record<string, ErrorCode>> = {
  ModelNotFoundError: 'model-not-found',
  MissingModelWasmError: 'model-invalid',
  UnsupportedTokenizerFilesError: 'model-unsupported',
  UnsupportedModelIdError: 'model-unsupported',
  FeatureSupportError: 'backend-unavailable',
  ShaderF16SupportError: 'backend-unavailable',
  WebGPUNotAvailableError: 'backend-unavailable',
  WebGPUNotFoundError: 'backend-unavailable',
  IntegrityError: 'integrity-failed',
  DeviceLostError: 'device-lost',
  QuotaExceededError: 'quota-exceeded',
  // The library is no WebAssembly, or one for another version.
  CompileError: 'model-invalid',
  LinkError: 'model-unsupported',
  SyntaxError: 'model-invalid',
  ContextWindowSizeExceededError: 'prompt-too-long',
  MessageOrderError: 'chat-template-failed',
  SystemMessageOrderError: 'chat-template-failed',
  ConfigValueError: 'invalid-option',
  MinValueError: 'invalid-option',
  RangeError: 'invalid-option',
  NonNegativeError: 'invalid-option',
  SeedTypeError: 'invalid-option',
  ModelNotLoadedError: 'device-lost',
}

/** What `fetch` and `Cache.add` reject with, where there is no connection or no such file. */
const networkPattern = /fetch|'add' on 'Cache'|network/i

/** What a device that is gone leaves behind: web-llm unloads the model, and what runs falls over it. */
const lossPattern = /already been disposed|device (was|is) lost|Instance dropped/i

/**
 * An error of web-llm's, as this library has it; `error` itself where it says nothing that is known.
 * @param what begins the sentence
 */
export function explainFailure(error: unknown, what: string): unknown {
  if (error instanceof RivuletError || !(error instanceof Error)) return error
  const code = findCode(error)
  if (code === undefined) return error
  const message = `${what}: ${describeError(error)}`
  if (code !== 'integrity-failed') return new RivuletError(code, message, { cause: error })
  const {
    url = '',
    expected = '',
    actual = '',
  } = error as Partial<Record<'url' | 'expected' | 'actual', string>>
  const details = { file: url, expected, got: actual }
  return new RivuletError(code, message, { cause: error, details })
}

function findCode(error: Error): ErrorCode | undefined {
  if (lossPattern.test(error.message)) return 'device-lost'
  if (error.name === 'TypeError' && networkPattern.test(error.message)) return 'download-failed'
  return codes[error.name]
}
