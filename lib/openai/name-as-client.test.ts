import { describe, expect, it } from 'vitest'
import { refuse } from '../contract/check-options.js'
import { RivuletError } from '../contract/errors.js'
import { describeFailure } from '../contract/openai-error.js'
import { checkRequest } from '../check-request.js'
import { nameAsClient } from './name-as-client.js'
import { readRequest } from './read-request.js'

const chat = { model: 'local', messages: [{ role: 'user', content: 'Hello' }] }

function catchError(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}

/** What a client gets for a body that is refused, here or by the engine. */
function refuseBody(body: object, isChat = true) {
  const error = catchError(() => {
    const { prompts, options } = readRequest(body, isChat)
    return checkRequest(prompts[0], options)
  })
  return describeFailure(nameAsClient(error, body)).body.error
}

describe('a refused option', () => {
  it.each<[object, string]>([
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ max_completion_tokens: 0 }, 'max_completion_tokens'],
    [{ max_completion_tokens: 5, max_tokens: 5 }, 'max_tokens'],
    [{ max_completion_tokens: null, max_tokens: 0 }, 'max_tokens'],
    [{ temperature: -1 }, 'temperature'],
    [{ top_p: 2 }, 'top_p'],
    [{ repetition_penalty: 0 }, 'repetition_penalty'],
    [{ logit_bias: [] }, 'logit_bias'],
    [{ chat_template_kwargs: 5 }, 'chat_template_kwargs'],
    [{ chat_template_kwargs: { messages: [] } }, 'chat_template_kwargs'],
    [{ logprobs: true, top_logprobs: 50 }, 'top_logprobs'],
    [{ continue_final_message: true }, 'continue_final_message'],
  ])('is named as the client wrote it: %j', (fields, param) => {
    expect(refuseBody({ ...chat, ...fields })).toMatchObject({
      param,
      code: 'invalid_value',
      message: expect.stringContaining(`"${param}"`),
    })
  })

  it('is named too where it is the prompt or a message', () => {
    expect(refuseBody({ ...chat, messages: [] }).param).toBe('messages')
    expect(refuseBody({ model: 'local', prompt: '' }, false).param).toBe('prompt')
    const messages = [{ role: 'critic', content: 'Hello' }]
    expect(refuseBody({ ...chat, messages }).param).toBe('messages[0].role')
  })
})

describe('an error that is not about a field of the request', () => {
  it('stays as it is', () => {
    const errors = [
      new RivuletError('device-lost', 'Lost.'),
      new Error('Other.'),
      catchError(() => refuse('The options must be an object.')),
      catchError(() => refuse('"minP" must be a number.', 'minP')),
    ]
    for (const error of errors) expect(nameAsClient(error, chat)).toBe(error)
    expect(describeFailure(errors[0]).body.error.param).toBeNull()
  })
})
