import { RivuletError } from '../../../lib/contract/errors.js'
import { pause } from '../../http-retry.js'
import type { DescribedRequest } from '../describe-request.js'
import { resumed, type AnswerPart } from '../read-answer.js'
import { readValues, terminator } from '../read-values.js'
import { isObject, type Json } from '../server-failure.js'
import type { Transport } from '../transport.js'
import type { ResponseAnswer } from './known-responses.js'
import { createEventReader, type EventReader } from './read-event.js'

/** The maximum number of attempts in a row to take up a response again. After new events, the count starts again. */
const maxAttempts = 5
const firstPauseMs = 250

interface ReadOptions {
  readonly isBackground: boolean
  readonly maxTokens: number | undefined
  /** Called with the response's id and answer after its last event. */
  onStored(id: string, answer: ResponseAnswer): void
}

/**
 * Reads a response as it is streamed. A background response whose connection breaks is taken up again behind the last event
 * (`GET /responses/{id}?stream=true&starting_after=N`), and is cancelled on the server if the reader leaves.
 * @throws RivuletError as `Transport.stream`; `connection-failed` for an incomplete response. If the server cannot take up a
 *   response again, the error is the one that broke its connection
 */
export async function* readResponse(
  transport: Pick<Transport, 'stream' | 'notify' | 'redact'>,
  request: DescribedRequest,
  { isBackground, maxTokens, onStored }: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<AnswerPart, undefined, undefined> {
  const reader = createEventReader(transport.redact, maxTokens)
  let current = request
  let attempts = 0
  let lost: unknown
  let isRefused = false
  try {
    for (;;) {
      try {
        for await (const part of readParts(transport, current, reader, signal)) {
          if (attempts > 0) yield resumed
          attempts = 0
          yield part
        }
        if (!reader.isOver) throw createIncompleteError()
        if (reader.id !== undefined) onStored(reader.id, reader.answer)
        yield terminator
        return
      } catch (error) {
        if (isRefused) throw lost
        if (attempts === 0) lost = error
        if (!isBackground || !isBroken(error) || !canResume(reader)) throw error
        if (attempts === maxAttempts) throw lost
        if (attempts > 0) await pause(firstPauseMs * 2 ** (attempts - 1), signal)
        attempts += 1
        current = describeResumption(reader, () => (isRefused = true))
      }
    }
  } finally {
    if (isBackground && !reader.isOver && reader.id !== undefined) {
      transport.notify(`responses/${encodeURIComponent(reader.id)}/cancel`)
    }
  }
}

/** Reads the events of one connection, to the last event of the response or to the connection's end. */
async function* readParts(
  transport: Pick<Transport, 'stream' | 'redact'>,
  request: DescribedRequest,
  reader: EventReader,
  signal: AbortSignal,
): AsyncGenerator<AnswerPart, undefined, undefined> {
  for await (const value of readValues(transport.stream(request, signal), transport.redact, isEvent)) {
    // Some servers end with `[DONE]` as in chat completions.
    if (value === terminator) continue
    yield reader.read(value)
    if (reader.isOver) return
  }
}

function isEvent(value: unknown): value is Json {
  return isObject(value) && typeof value.type === 'string'
}

/** True if the connection broke. The server may go on with a background response. */
function isBroken(error: unknown): boolean {
  return error instanceof RivuletError && error.code === 'connection-failed'
}

function canResume({ id, sequence, isOver }: EventReader): boolean {
  return !isOver && id !== undefined && sequence !== undefined
}

/** @param onRefused called if the server does not have the response: it is expired, or was not stored */
function describeResumption({ id = '', sequence = 0 }: EventReader, onRefused: () => void): DescribedRequest {
  const query = new URLSearchParams({ stream: 'true', starting_after: String(sequence) })
  return {
    path: `responses/${encodeURIComponent(id)}?${query.toString()}`,
    body: undefined,
    correct() {
      onRefused()
      return false
    },
  }
}

function createIncompleteError(): RivuletError {
  return new RivuletError(
    'connection-failed',
    'The answer is incomplete: the server closed the stream before the response was completed. Retry.',
  )
}
