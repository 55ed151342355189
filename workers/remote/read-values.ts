import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { StreamItem } from './event-stream.js'
import { readChunk } from './read-chunk.js'
import {
  findFailure,
  isObject,
  readFailureBody,
  toError,
  type Json,
  type ServerFailure,
} from './server-failure.js'

/** The last event of OpenAI's API: `data: [DONE]`. */
export const terminator = Symbol('[DONE]')

/** The longest body that is kept in case that it is one JSON value and not a stream, in characters. */
const maxBodyLength = 2 ** 20
/** How much of a body that is not an answer is quoted, in characters. */
const maxQuotedLength = 200

/**
 * Reads the JSON objects of an answer: of a stream of events, of JSON lines, or of a body that is one JSON value.
 * @param redact removes secrets from a message of the server
 * @param isAnswer true for a value that belongs to an answer, where the body is not a stream of events
 * @throws RivuletError for a failure that the server reports, with the code that the server's code and words mean, or else
 * `generation-failed`; `connection-failed` for data that is not JSON, and for a body that is not an answer
 */
export async function* readValues(
  items: AsyncIterable<StreamItem>,
  redact: (message: string) => string,
  isAnswer: (value: unknown) => value is Json = isChatAnswer,
): AsyncGenerator<Json | typeof terminator, undefined> {
  let body = ''
  let hasValues = false
  const report = (failure: ServerFailure | undefined) => {
    if (!failure) return
    const words = redact(failure.words)
    throw toError({ ...failure, words }, 'The server failed during generation', 'generation-failed')
  }
  for await (const item of items) {
    if (item.kind === 'line') {
      report(findFieldFailure(item.line))
      const value = parseLine(item.line)
      report(findFailure(value))
      if (isAnswer(value)) {
        hasValues = true
        yield value
      } else if (body.length < maxBodyLength) body += `${item.line}\n`
      continue
    }
    if (item.name === 'error') report(readFailureBody(item.data))
    for (const data of splitData(item.data)) {
      if (isTerminator(data)) yield terminator
      for (const value of parseData(data, item.isLast)) {
        report(findFailure(value))
        hasValues = true
        yield value
      }
    }
  }
  if (hasValues || body.trim() === '') return
  const value = parseLine(body)
  report(findFailure(value))
  if (isAnswer(value)) yield value
  else throw createForeignBodyError(redact(body.trim().slice(0, maxQuotedLength)))
}

/** Finds the failure in a line `error: {…}`: llama.cpp's server sent failures as a field of the event stream. */
function findFieldFailure(line: string): ServerFailure | undefined {
  const [, words] = /^error:\s*(.+)$/.exec(line) ?? []
  return words === undefined ? undefined : readFailureBody(words)
}

function isChatAnswer(value: unknown): value is Json {
  return isObject(value) && readChunk(value).isAnswer
}

function isTerminator(data: string): boolean {
  return /^\s*"?\[DONE\]"?\s*$/i.test(data)
}

/** Splits the data of an event: some servers leave out the blank lines between their events. */
function splitData(data: string): readonly string[] {
  const isOne = !data.includes('\n') || parseLine(data) !== undefined
  return isOne ? [data] : data.split('\n')
}

/**
 * Parses the data of an event. Null and empty data mean nothing; an array contains chunks.
 * @param isLast true if the rest of the data may be missing
 */
function parseData(data: string, isLast: boolean): readonly Json[] {
  if (data.trim() === '' || isTerminator(data)) return []
  try {
    const values = [JSON.parse(data) as unknown].flat().filter((value) => value !== null)
    const other = values.find((value) => !isObject(value))
    if (other !== undefined) throw new Error('not an object')
    return values.filter(isObject)
  } catch (error) {
    if (isLast) return []
    throw new RivuletError(
      'connection-failed',
      `The server sent an invalid chunk (${describeError(error)}). Check that "baseURL" points at an OpenAI-compatible endpoint.`,
      { cause: error },
    )
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function createForeignBodyError(words: string): RivuletError {
  return new RivuletError(
    'connection-failed',
    `The server did not answer with an event stream, but with: ${words} Check that "baseURL" points at an OpenAI-compatible endpoint.`,
  )
}
