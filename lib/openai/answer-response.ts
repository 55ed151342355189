import { describeFailure } from '../contract/openai-error.js'
import { writeNamedEvent } from '../contract/server-sent-events.js'
import type { Engine } from '../engine.js'
import { answerPrompts } from './answer-prompts.js'
import type { ReadResponseRequest } from './read-response-request.js'
import type { EventSource } from './stream-body.js'
import { createResponseWriter, type ResponseEvent } from './write-response.js'

type ResponseWriter = ReturnType<typeof createResponseWriter>

function createWriter({ model, echo }: ReadResponseRequest): ResponseWriter {
  return createResponseWriter({ model, echo, created: Math.floor(Date.now() / 1000) })
}

/** Answers a request of the Responses API as one object. */
export async function writeWholeResponse(
  engine: Engine,
  read: ReadResponseRequest,
  signal: AbortSignal,
): Promise<object> {
  for await (const part of answerPrompts(engine, read, signal)) {
    if (part.kind === 'end') return createWriter(read).writeWhole(part.result, part.end)
  }
  throw new Error('The request has no prompt.')
}

/** Answers a request of the Responses API as its streaming events. They end without `[DONE]`. */
export function streamResponse(
  engine: Engine,
  read: ReadResponseRequest,
  explain: (error: unknown) => unknown,
): EventSource {
  const writer = createWriter(read)
  const send = (event: ResponseEvent) => writeNamedEvent(event.type, event)
  return {
    async *write(signal): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
      let hasStarted = false
      for await (const part of answerPrompts(engine, read, signal)) {
        const head = hasStarted ? [] : writer.start()
        hasStarted = true
        const events =
          part.kind === 'chunk' ? writer.write(part.chunk) : writer.end(part.end, part.result.usage)
        for (const event of [...head, ...events]) yield send(event)
      }
    },
    writeFailure: (error) => [send(writer.fail(describeFailure(explain(error)).body.error))],
  }
}
