import type {
  AnswerState,
  ChatAnswerOptions,
  ChatOptions,
  ChatTool,
  ChatToolCall,
  ChatTurn,
  ToolRound,
} from '../chat.js'
import { refuse, refuseUnknown } from '../contract/check-options.js'
import { checkRequest } from '../check-request.js'
import type { GenerateOptions } from '../contract/request.js'
import { stoppedCall } from './run-tool-calls.js'

const optionNames: readonly string[] = [
  'engine',
  'system',
  'messages',
  'sampling',
  'tools',
  'maxToolRounds',
] satisfies (keyof ChatOptions)[]

/** Checks the options of `createChat`. @throws RivuletError `invalid-option` */
export function checkChatOptions(options: ChatOptions): void {
  if (typeof options !== 'object' || options === null) refuse('createChat() takes an options object.')
  refuseUnknown('createChat()', options, optionNames)
  checkEngine(options.engine)
  checkAnswerOptions(options)
}

/** Checks the options that decide how answers are generated. @throws RivuletError `invalid-option` */
export function checkAnswerOptions({
  system,
  sampling,
  tools = [],
  maxToolRounds = 1,
}: ChatAnswerOptions): void {
  if (system !== undefined && typeof system !== 'string') refuse('"system" must be a string.', 'system')
  if (!Array.isArray(tools)) refuse('"tools" must be a list of tools { name, parameters, run }.', 'tools')
  for (const [index, tool] of tools.entries()) {
    if (typeof tool?.run !== 'function') {
      refuse(
        `tools[${index}].run must be the function that the chat runs when the model calls the tool.`,
        'tools',
      )
    }
  }
  if (!Number.isSafeInteger(maxToolRounds) || maxToolRounds < 1) {
    refuse('"maxToolRounds" must be an integer of at least 1.', 'maxToolRounds')
  }
  checkQuestion('?', sampling, tools)
}

/** Checks that a value is an engine, or the promise of an engine. @throws RivuletError `invalid-option` */
export function checkEngine(engine: unknown): void {
  const { generate, then } = (engine ?? {}) as Partial<Record<'generate' | 'then', unknown>>
  if (typeof generate === 'function' || typeof then === 'function') return
  refuse('"engine" must be an engine, or the promise that createEngine() returns.', 'engine')
}

/** Options of `engine.generate` that a chat does not take, with the reason. */
const refusedSampling: Readonly<Record<string, string>> = {
  signal: 'call stop() to cancel',
  applyChatTemplate: 'a chat always uses the chat template',
  topLogprobs: 'messages are only text',
  continueFinalMessage: 'call continue()',
  tools: 'pass the tools, with their functions, to createChat()',
} satisfies Partial<Record<keyof GenerateOptions, string>>

/** Checks the text of a question, and the sampling options. @throws RivuletError `invalid-option` */
export function checkQuestion(
  text: string,
  sampling: GenerateOptions = {},
  tools: readonly ChatTool[] = [],
): void {
  if (typeof text !== 'string') refuse('The text of a message must be a string.', 'text')
  for (const [name, reason] of Object.entries(refusedSampling)) {
    if (sampling?.[name as keyof GenerateOptions] !== undefined)
      refuse(`A chat does not accept the option "${name}": ${reason}. Leave it out.`, name)
  }
  const plainTools = tools.map((tool) => {
    const { run: _, ...plain } = tool
    return plain
  })
  checkRequest(text === '' ? text : [{ role: 'user', content: text }], { ...sampling, tools: plainTools })
}

/**
 * Checks the messages that an app passes, possibly from its storage, and returns a plain copy. An answer that was still
 * running becomes a cancelled answer.
 * @throws RivuletError `invalid-option`
 */
export function readTurns(messages: unknown): readonly ChatTurn[] {
  if (!Array.isArray(messages)) refuse('"messages" must be an array.', 'messages')
  const turns = Array.from(messages as readonly unknown[], readTurn)
  const ids = new Set(turns.map(({ id }) => id))
  if (ids.size < turns.length) refuse('"messages" contains the same id twice.', 'messages')
  return turns
}

function readTurn(turn: unknown, index: number): ChatTurn {
  const name = `messages[${index}]`
  const { id, role, text, state, reasoning, rounds, value } = (turn ?? {}) as Readonly<
    Record<string, unknown>
  >
  if (typeof id !== 'string' || typeof text !== 'string') {
    refuse(`${name} must have an id and a text.`, name)
  }
  if (role === 'user' && text !== '') return { id, role, text }
  if (role === 'assistant') {
    return {
      id,
      role,
      text,
      ...readReasoning(reasoning, name),
      ...(rounds !== undefined && { rounds: readRounds(rounds, `${name}.rounds`) }),
      ...(value !== undefined && { value: copy(value) }),
      state: readState(state, `${name}.state`),
    }
  }
  refuse(
    `${name} must have the role "user", with a text, or "assistant". Put instructions into "system".`,
    name,
  )
}

function readReasoning(reasoning: unknown, name: string): { readonly reasoning?: string } {
  if (reasoning !== undefined && typeof reasoning !== 'string')
    refuse(`${name}.reasoning must be a string.`, name)
  return reasoning === undefined ? {} : { reasoning }
}

function readRounds(rounds: unknown, name: string): readonly ToolRound[] {
  if (!Array.isArray(rounds) || rounds.length === 0) refuse(`${name} must be a list that is not empty.`, name)
  return rounds.map((round: unknown): ToolRound => {
    const { text, reasoning, calls } = (round ?? {}) as Readonly<Record<string, unknown>>
    if (typeof text !== 'string' || !Array.isArray(calls) || calls.length === 0) {
      refuse(`${name} must contain rounds with a text and calls.`, name)
    }
    return {
      text,
      ...readReasoning(reasoning, name),
      calls: calls.map((call: unknown) => readCall(call, name)),
    }
  })
}

function readCall(call: unknown, name: string): ChatToolCall {
  const fields = (call ?? {}) as Readonly<Record<string, unknown>>
  const { kind, result, message } = (fields.state ?? {}) as Readonly<Record<string, unknown>>
  const { id, name: tool, arguments: text } = fields
  if (typeof id !== 'string' || typeof tool !== 'string' || typeof text !== 'string') {
    refuse(`${name} must contain calls with id, name and arguments.`, name)
  }
  const read = { id, name: tool, arguments: text }
  if (kind === 'streaming' || kind === 'running') return { ...read, state: stoppedCall }
  if (kind === 'finished' && typeof result === 'string') return { ...read, state: { kind, result } }
  if (kind === 'failed' && typeof message === 'string') return { ...read, state: { kind, message } }
  return refuse(`${name} must contain calls with the state of a call.`, name)
}

const interruptedState = { kind: 'finished', finishReason: 'cancelled' } as const satisfies AnswerState

function readState(state: unknown, name: string): AnswerState {
  const { kind, finishReason, error } = (state ?? {}) as Partial<Record<string, unknown>>
  if (kind === 'waiting' || kind === 'streaming') return interruptedState
  const isState =
    (kind === 'finished' && typeof finishReason === 'string') || (kind === 'failed' && error !== undefined)
  if (!isState) refuse(`${name} must be the state of an answer.`, name)
  return copy(state as AnswerState)
}

/** `structuredClone` would fail on a framework's proxies. */
function copy<Data>(data: Data): Data {
  return JSON.parse(JSON.stringify(data)) as Data
}
