// Server-sent events (HTML Living Standard, 9.2) as OpenAI's API uses them.
import { describeFailure } from './openai-error.js'

type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()
const writeLine = (line: string): Bytes => encoder.encode(`${line}\n\n`)

/** Returns an event with JSON data. */
export const writeEvent = (data: object): Bytes => writeLine(`data: ${JSON.stringify(data)}`)

/** Returns an event with a name and JSON data, as OpenAI's Responses API sends it. */
export const writeNamedEvent = (name: string, data: object): Bytes =>
  writeLine(`event: ${name}\ndata: ${JSON.stringify(data)}`)

/** Returns a comment, which clients ignore. */
export const writeComment = (text: string): Bytes => writeLine(`: ${text}`)

/**
 * Returns an error event for a response that has already started, as vLLM sends it. The stream then ends like any other
 * stream.
 */
export const writeFailure = (error: unknown): Bytes => writeEvent(describeFailure(error).body)

/** Returns the last event of every stream of OpenAI's API. */
export const writeDone = (): Bytes => writeLine('data: [DONE]')
