import { RivuletError } from '../contract/errors.js'
import { describeOption, optionNames } from '../contract/option-table.js'

/** The request fields for the names in errors that are not in the option table. */
const otherFields: Readonly<Record<string, readonly string[]>> = {
  prompt: ['messages', 'prompt'],
  continueFinalMessage: ['continue_final_message'],
}

/** Lists the request fields that set an option. Without `top_logprobs`, `logprobs` sets `topLogprobs` to 0. */
function listFields(option: string): readonly string[] {
  const name = optionNames.find((known) => known === option)
  if (name === undefined) return otherFields[option] ?? []
  return name === 'topLogprobs' ? [...describeOption(name).openAi, 'logprobs'] : describeOption(name).openAi
}

/**
 * Returns an `invalid-option` error that names the option as the client wrote it: `max_tokens` for `maxTokens`. Any other
 * error, and an error about an option that the client did not send, is returned unchanged.
 * @param body the body of the request
 */
export function nameAsClient(error: unknown, body: unknown): unknown {
  if (!(error instanceof RivuletError) || error.code !== 'invalid-option') return error
  const { option } = error.details
  if (option === undefined) return error
  const sent = (body ?? {}) as Readonly<Record<string, unknown>>
  const findField = (name: string) =>
    listFields(name).find((known) => sent[known] !== undefined && sent[known] !== null)
  const field = findField(option)
  if (field === undefined || field === option) return error
  // The message can also name other options, such as one that the option cannot be combined with.
  const message = [option, ...optionNames].reduce(
    (words, name) => words.replaceAll(`"${name}"`, `"${findField(name) ?? name}"`),
    error.message,
  )
  return new RivuletError('invalid-option', message, {
    cause: error,
    text: error.text,
    details: { option: field },
  })
}
