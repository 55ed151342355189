import { refuseUnknown } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import {
  createResponseHeaders,
  describeFailure,
  respondWithError,
  writeError,
} from './contract/openai-error.js'
import { writeDone, writeEvent, writeFailure } from './contract/server-sent-events.js'
import type { Engine } from './engine.js'
import type { Usage } from './generation-tally.js'
import { answerPrompts } from './openai/answer-prompts.js'
import { nameAsClient } from './openai/name-as-client.js'
import { streamResponse, writeWholeResponse } from './openai/answer-response.js'
import { nameAsResponseField, readResponseRequest } from './openai/read-response-request.js'
import { readRequest, type ReadRequest } from './openai/read-request.js'
import { streamEvents } from './openai/stream-body.js'
import { addUsages, createAnswerWriter, type WholeChoice } from './openai/write-answer.js'

/** Options of `openaiFetch`. */
export interface OpenaiFetchOptions {
  /** The model name that clients must send. @default 'local' */
  readonly model?: string | undefined
}

/**
 * Returns a `fetch` function that answers OpenAI's API with an engine in this page, for clients that take a `fetch`.
 *
 *     const client = new OpenAI({ baseURL: 'https://local/v1', apiKey: 'local', fetch: openaiFetch(engine) })
 *
 * The function answers `/chat/completions`, `/completions`, `/responses` and `/models` below any base URL, streamed or as a
 * whole. No request leaves the page, and nothing is stored. Forms of the answer, tools and reasoning work if the engine's model
 * supports them. With `n`, the answers to a prompt are generated at the same time if the backend has `maxConcurrentGenerations`,
 * and one after the other otherwise; their prompt is computed once. With `seed`, they have the seeds `seed`, `seed + 1` and so on.
 * A field that the engine does not support (images, tools that run on a server) is refused: the
 * error has OpenAI's format and status 400, and names the field. Values that demand nothing, such
 * as `tools: []`, are accepted. Cancelling the response body or aborting the request cancels the generation. A body that
 * nobody reads pauses the model, for 30 seconds at most: then the rest is generated and waits for its reader.
 * @throws RivuletError `invalid-option`
 */
export function openaiFetch(engine: Engine, options: OpenaiFetchOptions = {}): typeof fetch {
  refuseUnknown('openaiFetch()', options, ['model'] satisfies (keyof OpenaiFetchOptions)[])
  const { model = 'local' } = options
  return async (input, init) => {
    const request = new Request(input, init)
    request.signal.throwIfAborted()
    try {
      return await answer(engine, model, request)
    } catch (error) {
      // As with the platform's `fetch`, an aborted request rejects with the signal's reason.
      request.signal.throwIfAborted()
      return respondWithError(describeFailure(error))
    }
  }
}

async function answer(engine: Engine, model: string, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  const matching = routes.filter(({ pattern }) => pattern.test(pathname))
  const route = matching.find(({ method }) => method === request.method)
  if (!route) {
    const [status, code] =
      matching.length > 0 ? ([405, 'method_not_supported'] as const) : ([404, 'unknown_url'] as const)
    const known = 'Use /chat/completions, /completions, /responses or /models.'
    return respondWithError(
      writeError(status, code, `This page does not answer ${request.method} ${pathname}. ${known}`),
    )
  }
  if (route.kind === 'models') return respond({ object: 'list', data: [describeModel(engine, model)] })
  if (route.kind === 'model') {
    const [, name = ''] = route.pattern.exec(pathname) ?? []
    checkModel(name === encodeURIComponent(model) ? model : name, model)
    return respond(describeModel(engine, model))
  }
  const body = await readBody(request)
  if (route.kind === 'response') return answerResponse(engine, model, body, request.signal)
  const explain = (error: unknown) => nameAsClient(error, body)
  const read = readRequest(body, route.kind === 'chat')
  checkModel(read.model, model)
  const source = {
    write: (signal: AbortSignal) => writeEvents(engine, read, signal),
    writeFailure: (error: unknown) => [writeFailure(explain(error)), writeDone()],
  }
  try {
    return read.isStream
      ? await streamEvents(source, request.signal)
      : respond(await writeWholeAnswer(engine, read, request.signal))
  } catch (error) {
    throw explain(error)
  }
}

/** Answers a request of OpenAI's Responses API. */
async function answerResponse(
  engine: Engine,
  model: string,
  body: unknown,
  signal: AbortSignal,
): Promise<Response> {
  const read = readResponseRequest(body)
  const explain = (error: unknown) => nameAsResponseField(nameAsClient(error, read.chat))
  checkModel(read.model, model)
  try {
    return read.isStream
      ? await streamEvents(streamResponse(engine, read, explain), signal)
      : respond(await writeWholeResponse(engine, read, signal))
  } catch (error) {
    throw explain(error)
  }
}

const routes = [
  { kind: 'chat', method: 'POST', pattern: /\/chat\/completions$/ },
  { kind: 'completion', method: 'POST', pattern: /\/completions$/ },
  { kind: 'response', method: 'POST', pattern: /\/responses$/ },
  { kind: 'models', method: 'GET', pattern: /\/models$/ },
  { kind: 'model', method: 'GET', pattern: /\/models\/([^/]+)$/ },
] as const

function respond(body: object): Response {
  return Response.json(body, { headers: createResponseHeaders() })
}

function describeModel({ info }: Engine, id: string) {
  return { id, object: 'model', created: 0, owned_by: info.backend, max_model_len: info.contextLength }
}

function checkModel(requested: string, model: string): void {
  if (requested === model) return
  throw new RivuletError(
    'model-not-found',
    `There is no model "${requested}" in this page. Ask for "${model}".`,
  )
}

async function readBody(request: Request): Promise<unknown> {
  try {
    return await request.json()
  } catch (error) {
    throw new RivuletError('invalid-option', 'The request body is not valid JSON. Send a JSON object.', {
      cause: error,
    })
  }
}

function createWriter({ isChat, model, includesUsage }: ReadRequest) {
  const kind = isChat ? 'chatcmpl' : 'cmpl'
  const id = `${kind}-${crypto.getRandomValues(new Uint32Array(3)).join('')}`
  return createAnswerWriter({ id, isChat, model, created: Math.floor(Date.now() / 1000), includesUsage })
}

async function writeWholeAnswer(engine: Engine, read: ReadRequest, signal: AbortSignal): Promise<object> {
  const choices: WholeChoice[] = []
  const logprobs = new Map<number, WholeChoice['logprobs']>()
  for await (const part of answerPrompts(engine, read, signal)) {
    const { index } = part
    const known = logprobs.get(index) ?? []
    if (part.kind === 'chunk') logprobs.set(index, known.concat(part.chunk.logprobs ?? []))
    else {
      const { result, end } = part
      choices[index] = { result, end, logprobs: known, promptLength: countCharacters(read, index) }
    }
  }
  return createWriter(read).writeWhole(choices, read.count)
}

/** Returns the length of the prompt of answer number `index`, in characters, for a completion; 0 for a chat. */
function countCharacters({ prompts, count }: ReadRequest, index: number): number {
  const prompt = prompts[Math.floor(index / count)]
  return typeof prompt === 'string' ? prompt.length : 0
}

/** Writes the events of an answer, each when it is requested. The first one waits for the first token. */
async function* writeEvents(
  engine: Engine,
  read: ReadRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  const writer = createWriter(read)
  const usages: Usage[] = []
  /** Where the next chunk of each answer starts. An answer that has not started has no offset. */
  const offsets = new Map<number, number>()
  for await (const part of answerPrompts(engine, read, signal)) {
    const { index } = part
    const head = offsets.has(index) ? undefined : writer.start(index)
    const offset = offsets.get(index) ?? countCharacters(read, index)
    offsets.set(index, offset)
    if (head) yield writeEvent(head)
    if (part.kind === 'chunk') {
      yield writeEvent(writer.write(part.chunk, index, offset))
      offsets.set(index, offset + part.chunk.text.length)
    } else {
      yield writeEvent(writer.end(part.end, index))
      usages[index] = part.result.usage
    }
  }
  if (read.includesUsage) yield writeEvent(writer.writeUsageChunk(addUsages(usages, read.count)))
  yield writeDone()
}
