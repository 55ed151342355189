/** A tool call of an answer, or of a conversation that is restored. */
export class LanguageModelToolCall {
  readonly callId: string
  readonly name: string
  readonly arguments: Readonly<Record<string, unknown>>

  /** @throws TypeError if `callId` or `name` is missing */
  constructor(init: {
    readonly callId: string
    readonly name: string
    readonly arguments?: Readonly<Record<string, unknown>> | undefined
  }) {
    requireFields('LanguageModelToolCall', init, ['callId', 'name'])
    this.callId = String(init.callId)
    this.name = String(init.name)
    this.arguments = init.arguments ?? {}
  }
}

/** A part of the result of a tool: `text` is a string, `object` any value of JSON. */
export interface LanguageModelToolResultContent {
  readonly type: 'text' | 'image' | 'audio' | 'object'
  readonly value: unknown
}

/** The result of a tool call. */
export class LanguageModelToolSuccess {
  readonly callId: string
  readonly name: string
  readonly result: readonly LanguageModelToolResultContent[]

  /** @throws TypeError if a field is missing */
  constructor(init: {
    readonly callId: string
    readonly name: string
    readonly result: Iterable<LanguageModelToolResultContent>
  }) {
    requireFields('LanguageModelToolSuccess', init, ['callId', 'name', 'result'])
    this.callId = String(init.callId)
    this.name = String(init.name)
    this.result = Object.freeze([...init.result])
  }
}

/** Says that a tool failed. The model reads the message. */
export class LanguageModelToolError {
  readonly callId: string
  readonly name: string
  readonly errorMessage: string

  /** @throws TypeError if a field is missing */
  constructor(init: { readonly callId: string; readonly name: string; readonly errorMessage: string }) {
    requireFields('LanguageModelToolError', init, ['callId', 'name', 'errorMessage'])
    this.callId = String(init.callId)
    this.name = String(init.name)
    this.errorMessage = String(init.errorMessage)
  }
}

function requireFields(owner: string, init: unknown, names: readonly string[]): void {
  const fields = (init ?? {}) as Readonly<Record<string, unknown>>
  const missing = names.filter((name) => fields[name] === undefined)
  if (missing.length > 0)
    throw new TypeError(`${owner} needs ${names.join(', ')}. Add ${missing.join(', ')}.`)
}
