import { refuseUnknown } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import { describeFailure } from './contract/openai-error.js'
import { writeComment, writeDone, writeEvent, writeFailure } from './contract/server-sent-events.js'
import type { AnswerEnd, FinishReason, TokenChunk } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import { nameAsClient } from './openai/name-as-client.js'
import { readRequest, type ReadRequest } from './openai/read-request.js'
import { createAnswerWriter } from './openai/write-answer.js'
import type { TokenStream } from './token-stream.js'

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
 * than text) is refused: the error has OpenAI's format and status 400, and names the field. Cancelling the response body or
 * aborting the request cancels the generation.
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
      const { status, body } = describeFailure(error)
      return Response.json(body, { status })
    }
  }
}

async function answer(engine: Engine, model: string, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  const route = routes.find(({ pattern, method }) => pattern.test(pathname) && method === request.method)
  if (!route) {
    throw new RivuletError('model-not-found', `This page does not answer ${request.method} ${pathname}.`)
  }
  if (route.kind === 'models') return Response.json(listModels(engine, model))
  const body = await readBody(request)
  const explain = (error: unknown) => nameAsClient(error, body)
  const read = readRequest(body, route.kind === 'chat')
  if (read.model !== model) {
    throw new RivuletError(
      'model-not-found',
      `There is no model "${read.model}" in this page. Ask for "${model}".`,
    )
  }
  try {
    const stream = engine.generate(read.prompt, { ...read.options, signal: request.signal })
    if (!read.isStream) return await wholeAnswer(read, stream)
    return await streamAnswer(read, stream, request.signal, explain)
  } catch (error) {
    throw explain(error)
  }
}

const routes = [
  { kind: 'chat', method: 'POST', pattern: /\/chat\/completions$/ },
  { kind: 'completion', method: 'POST', pattern: /\/completions$/ },
  { kind: 'models', method: 'GET', pattern: /\/models$/ },
] as const

function listModels({ info }: Engine, id: string) {
  const model = { id, object: 'model', created: 0, owned_by: info.backend, max_model_len: info.contextLength }
  return { object: 'list', data: [model] }
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

async function wholeAnswer(read: ReadRequest, stream: TokenStream): Promise<Response> {
  const chunks: TokenChunk[] = []
  for await (const chunk of stream) chunks.push(chunk)
  const result = await stream.result
  return Response.json(createWriter(read).writeWhole(result, checkEnd(result.finishReason), chunks))
}

/**
 * Returns the reason for which a complete answer ended.
 * @throws RivuletError `engine-disposed` for `cancelled`: a client that cancels never reads the end
 */
function checkEnd(reason: FinishReason): AnswerEnd {
  if (reason !== 'cancelled') return reason
  throw new RivuletError('engine-disposed', 'The engine was disposed before the answer was complete.')
}

/** A failure within this time sets the HTTP status. Later, the response has started, and a failure is sent as an event. */
const statusGraceMs = 1000
/** How often a comment is sent during prefill, because proxies and clients abort a silent connection. */
const keepAliveMs = 10_000

/** Streams the answer as server-sent events, with backpressure. */
async function streamAnswer(
  read: ReadRequest,
  stream: TokenStream,
  signal: AbortSignal,
  explain: (error: unknown) => unknown,
): Promise<Response> {
  const reader = stream.getReader()
  let first: Promise<ReadableStreamReadResult<TokenChunk>> | undefined = reader.read()
  first.catch(() => {})
  await Promise.race([first, new Promise((resolve) => setTimeout(resolve, statusGraceMs))])
  const writer = createWriter(read)
  let keepAlive: ReturnType<typeof setInterval> | undefined

  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(controller) {
        const head = writer.start()
        if (head) controller.enqueue(writeEvent(head))
        keepAlive = setInterval(() => {
          if ((controller.desiredSize ?? 0) > 0) controller.enqueue(writeComment('keep-alive'))
        }, keepAliveMs)
      },
      async pull(controller) {
        try {
          const { done, value } = await (first ?? reader.read())
          first = undefined
          clearInterval(keepAlive)
          if (!done) return controller.enqueue(writeEvent(writer.write(value)))
          const { finishReason, usage } = await stream.result
          controller.enqueue(writeEvent(writer.end(checkEnd(finishReason))))
          if (read.includesUsage) controller.enqueue(writeEvent(writer.writeUsageChunk(usage)))
        } catch (error) {
          clearInterval(keepAlive)
          if (signal.aborted) return controller.error(signal.reason)
          controller.enqueue(writeFailure(explain(error)))
        }
        controller.enqueue(writeDone())
        controller.close()
      },
      async cancel() {
        clearInterval(keepAlive)
        await stream.cancel()
      },
    },
    { highWaterMark: 1 },
  )
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' },
  })
}
