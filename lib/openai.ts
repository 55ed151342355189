import { refuseUnknown } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import {
  createResponseHeaders,
  describeFailure,
  respondWithError,
  writeError,
} from './contract/openai-error.js'
import { writeComment, writeDone, writeEvent, writeFailure } from './contract/server-sent-events.js'
import type { Engine } from './engine.js'
import { answerPrompts, type AnswerPart } from './openai/answer-prompts.js'
import { nameAsClient } from './openai/name-as-client.js'
import { readAheadWhenIdle } from './openai/read-ahead.js'
import { readRequest, type ReadRequest } from './openai/read-request.js'
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
 * The function answers `/chat/completions`, `/completions` and `/models` below any base URL, streamed or as a whole. No
 * request leaves the page. A field that the engine does not support (tools, several answers, images, response formats other
 * than text) is refused: the error has OpenAI's format and status 400, and names the field. Values that demand nothing, such
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
    const known = 'Use /chat/completions, /completions or /models.'
    return respondWithError(
      writeError(status, code, `This page does not answer ${request.method} ${pathname}. ${known}`),
    )
  }
  if (route.kind === 'models') return respond({ object: 'list', data: [describeModel(engine, model)] })
  if (route.kind === 'model') {
    checkModel(decodeURIComponent(route.pattern.exec(pathname)?.[1] ?? ''), model)
    return respond(describeModel(engine, model))
  }
  const body = await readBody(request)
  const explain = (error: unknown) => nameAsClient(error, body)
  const read = readRequest(body, route.kind === 'chat')
  checkModel(read.model, model)
  try {
    return read.isStream
      ? await streamAnswer(engine, read, request.signal, explain)
      : respond(await writeWholeAnswer(engine, read, request.signal))
  } catch (error) {
    throw explain(error)
  }
}

const routes = [
  { kind: 'chat', method: 'POST', pattern: /\/chat\/completions$/ },
  { kind: 'completion', method: 'POST', pattern: /\/completions$/ },
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
  let logprobs: WholeChoice['logprobs'] = []
  for await (const part of answerPrompts(engine, read, signal)) {
    if (part.kind === 'chunk') logprobs = logprobs.concat(part.chunk.logprobs ?? [])
    else {
      const { result, end, index } = part
      choices.push({ result, end, logprobs, promptLength: countCharacters(read, index) })
      logprobs = []
    }
  }
  return createWriter(read).writeWhole(choices)
}

/** Returns the length of a completion's prompt, in characters; 0 for a chat. */
function countCharacters({ prompts }: ReadRequest, index: number): number {
  const prompt = prompts[index]
  return typeof prompt === 'string' ? prompt.length : 0
}

/** A failure within this time sets the HTTP status. Later, the response has started, and a failure is sent as an event. */
const statusGraceMs = 1000
/** How often a comment is sent during prefill, because proxies and clients abort a silent connection. */
const keepAliveMs = 10_000
/** How long a body that nobody reads holds the model. */
const unreadMs = 30_000
/** Safari before version 26 has no byte streams: there a body has no BYOB reader. */
const bodyType = typeof ReadableByteStreamController === 'function' ? 'bytes' : undefined

/** Streams the answer as server-sent events, with backpressure. */
async function streamAnswer(
  engine: Engine,
  read: ReadRequest,
  signal: AbortSignal,
  explain: (error: unknown) => unknown,
): Promise<Response> {
  const leaving = new AbortController()
  const events = writeEvents(engine, read, AbortSignal.any([signal, leaving.signal]))
  const first = events.next()
  first.catch(() => {})
  await Promise.race([first, new Promise((resolve) => setTimeout(resolve, statusGraceMs))])
  const rest = readAheadWhenIdle(startWith(first, events), unreadMs)
  let keepAlive: ReturnType<typeof setInterval> | undefined

  // Cast: TypeScript knows byte streams only by a source whose `type` is the literal 'bytes'.
  const source = {
    type: bodyType as 'bytes',
    start(controller: ReadableByteStreamController) {
      keepAlive = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(writeComment('keep-alive'))
      }, keepAliveMs)
    },
    async pull(controller: ReadableByteStreamController) {
      try {
        const { done, value } = await rest.next()
        clearInterval(keepAlive)
        if (!done) return controller.enqueue(value)
      } catch (error) {
        clearInterval(keepAlive)
        if (signal.aborted) return controller.error(signal.reason)
        controller.enqueue(writeFailure(explain(error)))
        controller.enqueue(writeDone())
      }
      rest.stop()
      controller.close()
      controller.byobRequest?.respond(0)
    },
    cancel() {
      clearInterval(keepAlive)
      rest.stop()
      leaving.abort()
    },
  }
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' }
  const body = new ReadableStream(source, { highWaterMark: 1 }) as ReadableStream<Uint8Array<ArrayBuffer>>
  return new Response(body, { headers: { ...headers, ...createResponseHeaders() } })
}

/** Writes the events of an answer, each when it is requested. The first one waits for the first token. */
async function* writeEvents(
  engine: Engine,
  read: ReadRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  const writer = createWriter(read)
  const usages: AnswerUsage[] = []
  let offset = countCharacters(read, 0)
  let hasStarted = false
  for await (const part of answerPrompts(engine, read, signal)) {
    const head = hasStarted ? undefined : writer.start()
    hasStarted = true
    if (head) yield writeEvent(head)
    const { index } = part
    if (part.kind === 'chunk') {
      yield writeEvent(writer.write(part.chunk, index, offset))
      offset += part.chunk.text.length
    } else {
      yield writeEvent(writer.end(part.end, index))
      usages.push(part.result.usage)
      offset = countCharacters(read, index + 1)
    }
  }
  if (read.includesUsage) yield writeEvent(writer.writeUsageChunk(addUsages(usages)))
  yield writeDone()
}

type AnswerUsage = Extract<AnswerPart, { readonly kind: 'end' }>['result']['usage']

/** Returns an iterator whose first item has been requested already. */
async function* startWith<T>(
  first: Promise<IteratorResult<T, undefined>>,
  rest: AsyncIterator<T, undefined>,
): AsyncGenerator<T, undefined> {
  for (let next = await first; !next.done; next = await rest.next()) yield next.value
}
