import type { GenerateRequest } from '../../lib/contract/request.js'
import { toOpenAiBody } from '../openai-body.js'
import type { ServerFailure } from './server-failure.js'
import type { Dialect } from './server-kinds.js'
import { writeFormatFields, writeInput } from './write-input.js'

/** What an engine has learned from a server's refusals. It applies to every later request of the engine. */
interface Learned {
  refusesStreamOptions: boolean
  wantsMaxCompletionTokens: boolean
}

/** The fields of a request that follow from the engine and not from the request. */
export interface BodyRules {
  readonly model: string
  readonly dialect: Dialect
  readonly extraBody: Readonly<Record<string, unknown>>
  readonly learned: Learned
}

/** The maximum number of times that a request is changed and sent again. */
const maxCorrections = 3

/** A request, which changes when the server refuses a field of it. */
export interface DescribedRequest {
  readonly path: string
  /** Undefined for a GET request. */
  readonly body: Readonly<Record<string, unknown>> | undefined
  /** Changes `body` so that the server may accept it. @returns false if the failure names nothing that can be left out */
  correct(failure: ServerFailure): boolean
}

/**
 * Describes a request for the server, and what to leave out of it if the server refuses it.
 * @param grammar rivulet's grammar of the form of the answer, if the server takes it
 * @throws RivuletError `invalid-option`, `connection-failed`: see `writeInput`
 */
export function describeRequest(
  rules: BodyRules,
  request: GenerateRequest,
  grammar?: string,
): DescribedRequest {
  const { learned, extraBody, model, dialect } = rules
  const isChat = request.input.kind === 'chat'
  let limit = Infinity
  let corrections = 0

  function write(): Record<string, unknown> {
    const renamed = learned.wantsMaxCompletionTokens ? 'max_completion_tokens' : dialect.writers?.maxTokens
    const fields = toOpenAiBody(request, {
      ...dialect.writers,
      // OpenAI's completions keep the old name.
      maxTokens: isChat ? (renamed ?? 'max_tokens') : 'max_tokens',
      responseFormat: (format) => writeFormatFields(dialect, format, request.input.kind, grammar),
    })
    const usage = learned.refusesStreamOptions ? {} : { stream_options: { include_usage: true } }
    const body = { model, stream: true, ...usage, ...extraBody, ...fields, ...writeInput(dialect, request) }
    return clip(body, limit)
  }

  let body = write()
  return {
    path: isChat ? 'chat/completions' : 'completions',
    get body() {
      return body
    },
    correct(failure) {
      corrections += 1
      if (corrections > maxCorrections) return false
      const room = readRoom(failure)
      if (namesStreamOptions(failure, body)) learned.refusesStreamOptions = true
      else if (wantsMaxCompletionTokens(failure, body)) learned.wantsMaxCompletionTokens = true
      else if (room >= 1 && room < readLimit(body)) limit = room
      else return false
      body = write()
      return true
    },
  }
}

const limitNames = ['max_tokens', 'max_completion_tokens'] as const

/** Returns the requested maximum number of tokens; 0 if the request has none, so that there is nothing to clip. */
function readLimit(body: Readonly<Record<string, unknown>>): number {
  return Math.max(0, ...limitNames.map((name) => Number(body[name] ?? 0)))
}

function clip(body: Record<string, unknown>, limit: number): Record<string, unknown> {
  const clipped = limitNames.filter((name) => body[name] !== undefined)
  return {
    ...body,
    ...Object.fromEntries(clipped.map((name) => [name, Math.min(Number(body[name]), limit)])),
  }
}

/** True if the server refuses `stream_options`, or a field that it does not name while no other field is in question. */
function namesStreamOptions(
  { words, field }: ServerFailure,
  body: Readonly<Record<string, unknown>>,
): boolean {
  if (!('stream_options' in body)) return false
  if (field?.startsWith('stream_options') || /stream_options|include_usage/.test(words)) return true
  const isAboutFields =
    /(unknown|unrecognized|unsupported|unexpected|extra|additional|not permitted)\b.*\b(field|param|argument|propert|input|key)/i
  const namesOther = Object.keys(body).some((name) => new RegExp(`\\b${name}\\b`).test(words))
  return field === undefined && isAboutFields.test(words) && !namesOther
}

function wantsMaxCompletionTokens(
  { words, field, codes }: ServerFailure,
  body: Readonly<Record<string, unknown>>,
): boolean {
  if (!('max_tokens' in body)) return false
  return (
    /\buse ['"`]?max_completion_tokens/i.test(words) ||
    (field === 'max_tokens' && codes.includes('unsupported_parameter'))
  )
}

/** Where servers say the length of the model's context, or the longest answer. */
const contextPatterns = [
  /context (?:length|window|size)(?: of| is|:| limit)* ?(?:only )?(\d+)/i,
  /max_new_tokens` must be <= ?(\d+)/i,
]
/** Where servers say the length of the prompt. */
const promptPatterns = [
  /(\d+) (?:input tokens|`inputs` tokens|prompt tokens|tokens (?:in|from) the (?:input|messages|prompt))/i,
  /(\d+) in (?:the messages|your prompt|the prompt)/i,
]
/** Where servers say the longest answer. */
const answerPatterns = [
  /at most (\d+) (?:completion|output) tokens/i,
  /> ?(\d+), which is the maximum allowed number of output tokens/i,
  /max(?:imum)?_(?:completion_|new_|output_)?tokens\b[^.]*?(?:less than or equal to|at most|<=|between 1 and|\[1, ?) ?(\d+)/i,
]

/**
 * Returns how many tokens the answer may have, from the server's words: vLLM, SGLang, TGI, OpenAI, Anthropic, DeepSeek. NaN if
 * the words do not say it.
 */
function readRoom({ words }: ServerFailure): number {
  const plain = words.replace(/(\d),(?=\d{3}\b)/g, '$1')
  const find = (patterns: readonly RegExp[]) =>
    Number(patterns.map((pattern) => pattern.exec(plain)?.[1]).find((digits) => digits !== undefined) ?? NaN)
  const context = find(contextPatterns)
  const prompt = find(promptPatterns)
  return Number.isNaN(context - prompt) ? find(answerPatterns) : context - prompt
}
