import type { AnswerState, ChatOptions, ChatTurn } from '../chat.js'
import { refuse, refuseUnknown } from '../contract/check-options.js'
import { checkRequest } from '../check-request.js'
import type { GenerateOptions } from '../contract/request.js'

const optionNames: readonly string[] = [
  'engine',
  'system',
  'messages',
  'sampling',
] satisfies (keyof ChatOptions)[]

/** @throws RivuletError `invalid-option` */
export function checkChatOptions(options: ChatOptions): void {
  if (typeof options !== 'object' || options === null) refuse('createChat() takes an object of options.')
  refuseUnknown('createChat()', options, optionNames)
  const { system, sampling } = options
  checkEngine(options.engine)
  if (system !== undefined && (typeof system !== 'string' || system === '')) {
    refuse('"system" must be a string of at least one character.')
  }
  checkQuestion('?', sampling)
}

/** @throws RivuletError `invalid-option` */
export function checkEngine(engine: unknown): void {
  const { generate, then } = (engine ?? {}) as Partial<Record<'generate' | 'then', unknown>>
  if (typeof generate === 'function' || typeof then === 'function') return
  refuse('"engine" must be an engine, or the promise that createEngine() returns.')
}

/** What `engine.generate` takes, and a chat has no use for. */
const refusedSampling: Readonly<Record<string, string>> = {
  signal: 'stop() ends an answer',
  applyChatTemplate: 'its messages are turns',
  topLogprobs: 'its messages are text',
  continueFinalMessage: 'continue() goes on with its last answer',
} satisfies Partial<Record<keyof GenerateOptions, string>>

/** @throws RivuletError `invalid-option` */
export function checkQuestion(text: string, sampling: GenerateOptions = {}): void {
  if (typeof text !== 'string') refuse('What is sent must be a string.')
  for (const [name, reason] of Object.entries(refusedSampling)) {
    if (sampling?.[name as keyof GenerateOptions] !== undefined)
      refuse(`A chat takes no "${name}": ${reason}.`)
  }
  checkRequest(text === '' ? text : [{ role: 'user', content: text }], sampling)
}

/**
 * Turns as an app gives them, perhaps from where it kept them: a plain copy. An answer that was being written ends there.
 * @throws RivuletError `invalid-option`
 */
export function readTurns(messages: unknown): readonly ChatTurn[] {
  if (!Array.isArray(messages)) refuse('"messages" must be a list.')
  const turns = Array.from(messages as readonly unknown[], readTurn)
  const ids = new Set(turns.map(({ id }) => id))
  if (ids.size < turns.length) refuse('"messages" has two with the same id.')
  return turns
}

function readTurn(turn: unknown, index: number): ChatTurn {
  const { id, role, text, state } = (turn ?? {}) as Partial<Record<keyof ChatTurn | 'state', unknown>>
  if (typeof id !== 'string' || typeof text !== 'string') {
    refuse(`messages[${index}] must have an id and a text.`)
  }
  if (role === 'user' && text !== '') return { id, role, text }
  if (role === 'assistant') return { id, role, text, state: readState(state, index) }
  refuse(
    `messages[${index}] must be the user's, with a text, or the assistant's. Instructions go into "system".`,
  )
}

const leftState = { kind: 'finished', finishReason: 'cancelled' } as const satisfies AnswerState

function readState(state: unknown, index: number): AnswerState {
  const { kind, finishReason, error } = (state ?? {}) as Partial<Record<string, unknown>>
  if (kind === 'waiting' || kind === 'streaming') return leftState
  const isState =
    (kind === 'finished' && typeof finishReason === 'string') || (kind === 'failed' && error !== undefined)
  if (!isState) refuse(`messages[${index}].state must be an answer's state, as a chat's messages have it.`)
  // A framework's proxies could not be cloned.
  return JSON.parse(JSON.stringify(state)) as AnswerState
}
