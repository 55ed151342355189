import { RivuletError } from './contract/errors.js'
import { describeFailure } from './contract/openai-error.js'
import { writeComment, writeDone, writeEvent, writeFailure } from './contract/server-sent-events.js'
import type { FinishReason, TokenChunk } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import { readRequest, type ReadRequest } from './openai/read-request.js'
import { createAnswerWriter, type AnswerEnd } from './openai/write-answer.js'
import type { TokenStream } from './token-stream.js'

/** Options of `openaiFetch`. */
export interface OpenaiFetchOptions {
  /** The model's name towards clients, which must ask for it. @default 'local' */
  readonly model?: string | undefined
}

/**
 * OpenAI's API, answered by an engine in this page: a `fetch` for clients that take one.
 *
 *     const client = new OpenAI({ baseURL: 'https://local/v1', apiKey: 'local', fetch: openaiFetch(engine) })
 *
 * It answers `/chat/completions`, `/completions` and `/models` below whatever base, streaming or whole, and nothing ever
 * leaves the page. What the engine cannot do (tools, several answers, pictures, other formats than text) is refused by the
 * field's name, with OpenAI's error shape and status 400. Leaving the body or aborting the request cancels the generation.
 * @throws RivuletError `invalid-option`
 */
export function openaiFetch(engine: Engine, options: OpenaiFetchOptions = {}): typeof fetch {
  const { model = 'local', ...unknown } = options
  const [name] = Object.keys(unknown)
  if (name !== undefined) {
    throw new RivuletError('invalid-option', `openaiFetch() has no option "${name}"; it has: model.`)
  }
  return async (input, init) => {
    const request = new Request(input, init)
    request.signal.throwIfAborted()
    try {
      return await answer(engine, model, request)
    } catch (error) {
      // As `fetch` has it: who aborts gets the reason, not an answer.
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
    throw new RivuletError('model-not-found', `There is no ${request.method} ${pathname} in this page.`)
  }
  if (route.kind === 'models') return Response.json(listModels(engine, model))
  const read = readRequest(await readBody(request), route.kind === 'chat')
  if (read.model !== model) {
    throw new RivuletError(
      'model-not-found',
      `There is no model "${read.model}" in this page; it is "${model}".`,
    )
  }
  const stream = engine.generate(read.prompt, { ...read.options, signal: request.signal })
  return read.isStream ? streamAnswer(read, stream, request.signal) : wholeAnswer(read, stream)
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
    throw new RivuletError('invalid-option', 'The body is not JSON.', { cause: error })
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

/** Who cancels does not read the end: where it is read, the engine was disposed, and the answer is not whole. */
function checkEnd(reason: FinishReason): AnswerEnd {
  if (reason !== 'cancelled') return reason
  throw new RivuletError('engine-disposed', 'The engine was disposed before the answer was whole.')
}

/** A failure within this time still has a status of its own; a stream that has begun has only its events. */
const statusGraceMs = 1000
/** While the prompt is computed, something has to come, or proxies and clients give up. */
const keepAliveMs = 10_000

/** The answer as server-sent events, read no faster than they are taken. */
async function streamAnswer(read: ReadRequest, stream: TokenStream, signal: AbortSignal): Promise<Response> {
  const reader = stream.getReader()
  let first: Promise<ReadableStreamReadResult<TokenChunk>> | undefined = reader.read()
  first.catch(() => {})
  await Promise.race([first, new Promise((resolve) => setTimeout(resolve, statusGraceMs))])
  const writer = createWriter(read)
  let keepAlive: ReturnType<typeof setInterval> | undefined

  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(controller) {
        const begin = writer.begin()
        if (begin) controller.enqueue(writeEvent(begin))
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
          if (read.includesUsage) controller.enqueue(writeEvent(writer.tellUsage(usage)))
        } catch (error) {
          clearInterval(keepAlive)
          if (signal.aborted) return controller.error(signal.reason)
          controller.enqueue(writeFailure(error))
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
