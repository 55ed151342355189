// Server-sent events (HTML Living Standard, 9.2) as OpenAI's API uses them.
import { describeFailure } from './openai-error.js'

type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()
const writeLine = (line: string): Bytes => encoder.encode(`${line}\n\n`)

/** An event with JSON data. */
export const writeEvent = (data: object): Bytes => writeLine(`data: ${JSON.stringify(data)}`)

/** A comment, which clients ignore. */
export const writeComment = (text: string): Bytes => writeLine(`: ${text}`)

/** An error after the response has started, as vLLM writes it: an event. The stream then ends like any other. */
export const writeFailure = (error: unknown): Bytes => writeEvent(describeFailure(error).body)

/** The last event of every stream of OpenAI's API. */
export const writeDone = (): Bytes => writeLine('data: [DONE]')
