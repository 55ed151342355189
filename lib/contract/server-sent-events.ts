// HTML Living Standard, 9.2, as OpenAI's API uses it.
import { describeFailure } from './openai-error.js'

type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()
const writeLine = (line: string): Bytes => encoder.encode(`${line}\n\n`)

/** One event whose data is JSON. */
export const writeEvent = (data: object): Bytes => writeLine(`data: ${JSON.stringify(data)}`)

/** What readers pass over. */
export const writeComment = (text: string): Bytes => writeLine(`: ${text}`)

/** A failure behind the response's head, as vLLM writes it: an event, behind which the stream ends as any other. */
export const writeFailure = (error: unknown): Bytes => writeEvent(describeFailure(error).body)

/** Ends every stream of OpenAI's API. */
export const writeDone = (): Bytes => writeLine('data: [DONE]')
