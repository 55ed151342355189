import { RivuletError } from '../contract/errors.js'

/** The fields that set an option; the first one that is sent applies. Any other option has one field, its name in snake case. */
const fieldsOfOptions: Readonly<Record<string, readonly string[]>> = {
  maxTokens: ['max_completion_tokens', 'max_tokens'],
  topLogprobs: ['top_logprobs', 'logprobs'],
  prompt: ['messages', 'prompt'],
}

/**
 * Returns a refusal that names the option as the client wrote it: `max_tokens` for `maxTokens`. Any other error, or one
 * about an option that the client did not send, stays as it is.
 * @param body the request's body
 */
export function nameAsClient(error: unknown, body: unknown): unknown {
  if (!(error instanceof RivuletError) || error.code !== 'invalid-option') return error
  const { option } = error.details
  if (option === undefined) return error
  const sent = (body ?? {}) as Readonly<Record<string, unknown>>
  const field = (fieldsOfOptions[option] ?? [toSnakeCase(option)]).find(
    (name) => sent[name] !== undefined && sent[name] !== null,
  )
  if (field === undefined || field === option) return error
  const message = error.message.replaceAll(`"${option}"`, `"${field}"`)
  return new RivuletError('invalid-option', message, {
    cause: error,
    text: error.text,
    details: { option: field },
  })
}

const toSnakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
