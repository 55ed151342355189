import { describe, expect, it } from 'vitest'
import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { composeGrammar } from '../text/gbnf/compose-grammar.js'
import { fitsGrammar } from '../text/gbnf/continue-grammar.js'
import { countPromptTokens } from './generate.js'
import {
  createModel,
  createRuntime,
  generate,
  readAll,
  thinkingFamily,
  words,
} from './scripted-runtime.test-support.js'

const storyRequest = (options: Partial<RequestOptions> = {}) =>
  textRequest('Tell me a story.', { seed: 1, ...options })

const readTexts = (steps: readonly GenerationStep[]) =>
  steps.flatMap((step) => (step.kind === 'chunk' ? [step.text] : []))
const settle = () => new Promise((resolve) => setTimeout(resolve, 30))

describe('an answer of llama.cpp’s (scripted runtime)', () => {
  it('reports how much of its prompt is computed, if the request asks for that', async () => {
    const runtime = createRuntime({ prefillSteps: 4 })
    const { all } = await readAll(generate(runtime, { ...storyRequest(), reportsPrefill: true }))
    expect(all.slice(0, 3)).toEqual(
      [4, 5, 6].map((computedTokens) => ({ kind: 'prefilling', computedTokens, totalTokens: 7 })),
    )
    expect(all[3]).toMatchObject({ kind: 'started', promptTokens: 7 })
    expect(readTexts(all)).toEqual(words)
    const { all: unasked } = await readAll(generate(createRuntime({ prefillSteps: 4 })))
    expect(unasked[0]).toMatchObject({ kind: 'started' })
  })

  it('is streamed token by token, without the end token, and with the counts at the end', async () => {
    const { all, finishReason } = await readAll(generate(createRuntime()))
    expect(finishReason).toBe('stop')
    expect(all[0]).toEqual({
      kind: 'started',
      promptTokens: 7,
      cachedPromptTokens: 3,
      queueMs: 5,
      prefillMs: expect.any(Number),
    })
    expect(readTexts(all)).toEqual(words)
    expect(all.at(-1)).toEqual({
      kind: 'counted',
      promptTokens: 7,
      cachedPromptTokens: 3,
      completionTokens: words.length,
      timings: { prefillMs: 20, decodeMs: 30 },
    })
  })

  it('ends at an end token that llama.cpp does not know, which is not part of the answer', async () => {
    const scripted = createRuntime({ answer: ['Once', ' upon', '<|end|>', '<|user|>', ' more'] })
    const { all, finishReason } = await readAll(generate(scripted))
    expect(finishReason).toBe('stop')
    expect(readTexts(all)).toEqual(['Once', ' upon'])
    expect(all.at(-1)).toMatchObject({ kind: 'counted', completionTokens: 2 })
    expect(scripted.seen.options[0]).toMatchObject({ preserved_tokens: ['<|end|>'] })
  })

  it('ends at a stop string with a control token, and never contains its text', async () => {
    const answer = ['Once', ' upon', '<|call|>', ' a', '<|call|>', 'x', ' more']
    const scripted = createRuntime({ answer })
    const { all, finishReason } = await readAll(generate(scripted, storyRequest({ stop: ['<|call|>x'] })))
    expect(finishReason).toBe('stop')
    expect(readTexts(all).join('')).toBe('Once upon a')
    expect(scripted.seen.options[0]).toMatchObject({ preserved_tokens: ['<|end|>', '<|call|>'] })
  })

  it('runs one step ahead of its reader, and no more', async () => {
    const scripted = createRuntime({ prefillSteps: 2 })
    const steps = generate(scripted)
    await settle()
    expect(scripted.seen.steps).toBe(0)
    await steps.next()
    await settle()
    // Two prompt chunks, the first token, and the one that is computed while the first travels.
    expect(scripted.seen.steps).toBe(4)
    await steps.next()
    await settle()
    expect(scripted.seen.steps).toBe(4)
    await steps.next()
    await settle()
    expect(scripted.seen.steps).toBe(5)
    await steps.return('stop')
  })

  it.each(['return', 'signal'])(
    'stops within one step of a %s, and llama.cpp is free afterwards',
    async (how) => {
      const scripted = createRuntime()
      const abort = new AbortController()
      const steps = generate(scripted, undefined, abort.signal)
      await steps.next()
      await steps.next()
      const before = scripted.seen.steps
      if (how === 'return') await steps.return('stop')
      else {
        abort.abort(new Error('enough'))
        await expect(readAll(steps)).rejects.toThrow('enough')
      }
      expect(scripted.seen.isRunning).toBe(false)
      expect(scripted.seen.steps).toBeLessThanOrEqual(before + 1)
      expect(scripted.seen.options[0]?.abortSignal.aborted).toBe(true)
    },
  )

  it('can be cancelled during prefill', async () => {
    const scripted = createRuntime({ prefillSteps: 1000 })
    const abort = new AbortController()
    const reading = readAll(generate(scripted, undefined, abort.signal))
    await settle()
    abort.abort(new Error('enough'))
    await expect(reading).rejects.toThrow('enough')
    expect(scripted.seen.isRunning).toBe(false)
    expect(scripted.seen.steps).toBeLessThan(1000)
  })

  it('does not start if its signal is already aborted', async () => {
    const scripted = createRuntime()
    await expect(
      readAll(generate(scripted, undefined, AbortSignal.abort(new Error('before')))),
    ).rejects.toThrow('before')
    expect(scripted.seen.options).toEqual([])
  })

  it('ends before a stop string, which may span tokens', async () => {
    const scripted = createRuntime()
    const { all, finishReason } = await readAll(generate(scripted, storyRequest({ stop: ['n a t'] })))
    expect(readTexts(all).join('')).toBe('Once upo')
    expect(finishReason).toBe('stop')
    expect(all.at(-1)).toMatchObject({ kind: 'counted', promptTokens: 7, completionTokens: 4 })
    expect(scripted.seen.isRunning).toBe(false)
  })

  it('contains text that only started like a stop string', async () => {
    const { all } = await readAll(generate(createRuntime(), storyRequest({ stop: ['. Then'] })))
    expect(readTexts(all).join('')).toBe(words.join(''))
  })

  it('continues the text of another model within the same maxTokens', async () => {
    const scripted = createRuntime()
    const resume = {
      handedOver: { text: 'Well', tokens: 1 },
      generated: { text: ',', tokens: 1, tokenIds: [] },
    }
    const { all, finishReason } = await readAll(
      generate(scripted, { ...storyRequest({ temperature: 0, maxTokens: 5 }), resume }),
    )
    expect(scripted.seen.options[0]).toMatchObject({ max_tokens: 3 })
    expect(finishReason).toBe('length')
    expect(all.at(-1)).toMatchObject({ completionTokens: 5 })
    const { all: none } = await readAll(generate(scripted, { ...storyRequest({ maxTokens: 2 }), resume }))
    expect(none).toEqual([])
  })

  it('fails with llama.cpp’s error, after the text so far', async () => {
    const steps = generate(createRuntime({ prefillSteps: 0, failAt: 3 }))
    expect(await steps.next()).toMatchObject({ value: { kind: 'started' } })
    expect(await steps.next()).toMatchObject({ value: { text: 'Once' } })
    expect(await steps.next()).toMatchObject({ value: { text: ' upon' } })
    await expect(steps.next()).rejects.toThrow('the runtime broke')
  })

  it('passes every option under llama.cpp’s name', async () => {
    const scripted = createRuntime()
    await readAll(
      generate(
        scripted,
        storyRequest({
          temperature: 0.5,
          topK: 3,
          topP: 0.9,
          minP: 0.1,
          repetitionPenalty: 1.1,
          frequencyPenalty: 0.2,
          presencePenalty: 0.3,
          logitBias: { 5: 1 },
          topLogprobs: 0,
          templateVariables: { enable_thinking: false },
        }),
      ),
    )
    expect(scripted.seen.options[0]).toMatchObject({
      prompt: 'Tell me a story.',
      temperature: 0.5,
      top_k: 3,
      top_p: 0.9,
      min_p: 0.1,
      repeat_penalty: 1.1,
      repeat_last_n: 512,
      frequency_penalty: 0.2,
      presence_penalty: 0.3,
      logit_bias: { 5: 1 },
      seed: 1,
      n_probs: 1,
    })
    // The prompt is already rendered.
    expect(scripted.seen.options[0]).not.toHaveProperty('chat_template_kwargs')
  })
})

describe('the channels of an answer of llama.cpp’s (scripted runtime)', () => {
  const read = async (answer: readonly string[], request: GenerateRequest) => {
    const scripted = createRuntime({ answer: [...answer] })
    const { all, finishReason } = await readAll(generate(scripted, request, undefined, thinkingFamily))
    const chunks = all.flatMap((step) => (step.kind === 'chunk' ? [step] : []))
    return {
      finishReason,
      text: chunks.map(({ text }) => text).join(''),
      reasoning: chunks.map(({ reasoning = '' }) => reasoning).join(''),
      raw: chunks.map(({ raw, text }) => raw ?? text).join(''),
      calls: chunks.flatMap(({ toolCalls = [] }) => toolCalls),
      counted: all.at(-1),
      options: scripted.seen.options,
    }
  }
  const ask = (options: Partial<RequestOptions> = {}) => chatRequest('Hi', options)
  const clock = { name: 'clock', parameters: { type: 'object', properties: {}, additionalProperties: false } }

  it('are its text, its reasoning and its calls', async () => {
    const text = ['<think>', 'Hm', '.', '</think>', '\n\n', 'Now', ' ']
    const call = ['<tool_call>', '\n{"name": "clock"', ', "arguments": {', '}}\n', '</tool_call>']
    const seen = await read([...text, ...call], ask({ tools: [clock] }))
    expect(seen).toMatchObject({
      finishReason: 'tool-calls',
      reasoning: 'Hm.',
      raw: [...text, ...call].join(''),
    })
    expect(seen.text.trim()).toBe('Now')
    expect(seen.calls.map(({ argumentsDelta }) => argumentsDelta).join('')).toBe('{}')
    expect(seen.calls[0]).toMatchObject({ index: 0, name: 'clock' })
  })

  it('are held to the form of the answer: calls are written under a grammar', async () => {
    const { options } = await read(['Hi'], ask({ tools: [clock], toolChoice: 'required', reasoning: 'off' }))
    const grammar = composeGrammar({ type: 'grammar', grammar: String(options[0]!.grammar) })
    expect(fitsGrammar(grammar, '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>')).toBe(true)
    expect(fitsGrammar(grammar, '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>')).toBe(false)
    expect(fitsGrammar(grammar, 'Hi')).toBe(false)
    // Control tokens cannot be parts of contents.
    expect(options[0]!.logit_bias).toEqual({ 1: false, 3: false })
  })

  it('end a thought that has used all its tokens, and continue after it in the rest of maxTokens', async () => {
    const scripted = createRuntime({ answer: ['a', 'b', 'c', 'd'] })
    const request = ask({ reasoning: { maxTokens: 2 }, maxTokens: 9 })
    const steps = generate(scripted, request, undefined, thinkingFamily)
    const { all } = await readAll(steps)
    const reasoning = all.flatMap((step) => (step.kind === 'chunk' ? [step.reasoning ?? ''] : [])).join('')
    expect(reasoning.trim()).toBe('ab')
    expect(scripted.seen.options).toHaveLength(2)
    const [first, second] = scripted.seen.options
    expect(String(second!.prompt)).toMatch(/<think>\n?ab\n*<\/think>\n*$/)
    expect(second!.max_tokens).toBeLessThan(Number(first!.max_tokens) - 2)
  })

  it('continue a lost answer where it was: in a thought, a form, or a call', async () => {
    const lost = (raw: string, generated: object, options: Partial<RequestOptions> = {}) => ({
      ...ask(options),
      resume: {
        handedOver: { text: '', tokens: 0 },
        generated: { text: '', tokens: 3, tokenIds: [], raw, ...generated },
      },
    })
    const thought = await read(['m.', '</think>', 'Yes'], lost('<think>H', { reasoning: 'H' }))
    expect(thought).toMatchObject({ reasoning: 'm.', text: 'Yes' })
    expect(String(thought.options[0]!.prompt)).toMatch(/<think>H$/)

    const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
    const responseFormat = { kind: 'json-schema', schema } as const
    const value = await read(['2}'], lost('{"a": 1', { text: '{"a": 1' }, { responseFormat }))
    expect(value.text).toBe('2}')
    const rest = composeGrammar({ type: 'grammar', grammar: String(value.options[0]!.grammar) })
    expect(fitsGrammar(rest, '2}')).toBe(true)
    expect(fitsGrammar(rest, '{"a": 12}')).toBe(false)

    const start = '<tool_call>\n{"name": "clock", "arguments": {'
    const toolCalls = [{ id: 'x', name: 'clock', arguments: '{' }]
    const call = await read(['}}\n', '</tool_call>'], lost(start, { toolCalls }, { tools: [clock] }))
    expect(call.calls).toEqual([{ index: 0, argumentsDelta: '}' }])
    expect(call.finishReason).toBe('tool-calls')
  })

  it('of a message that is continued: the form is about the whole message', async () => {
    const responseFormat = { kind: 'regex', pattern: 'cat|dog' } as const
    const { options } = await read(['t'], chatRequest('Hi', { responseFormat }, 'ca'))
    expect(String(options[0]!.grammar)).toContain('"t"')
    const refused = readAll(
      generate(createRuntime(), chatRequest('Hi', { responseFormat }, 'co'), undefined, thinkingFamily),
    )
    await expect(refused).rejects.toMatchObject({
      code: 'invalid-option',
      details: { option: 'continueFinalMessage' },
    })
  })

  it('that do not fit the form end typed, before any work', async () => {
    const request = ask({ responseFormat: { kind: 'grammar', grammar: 'root ::= b' } })
    const scripted = createRuntime()
    await expect(readAll(generate(scripted, request, undefined, thinkingFamily))).rejects.toMatchObject({
      code: 'invalid-option',
      details: { option: 'responseFormat' },
    })
    expect(scripted.seen.options).toEqual([])
  })
})

it('the tokens of a prompt are counted with a control token of the model; without one, not at all', async () => {
  const scripted = createRuntime()
  const { signal } = new AbortController()
  const request = storyRequest()
  expect(await countPromptTokens(createModel(scripted), request, signal)).toBe('Tell me a story.'.length)
  expect(scripted.seen.steps).toBe(0)
  const without = { ...createModel(scripted), countedToken: undefined }
  await expect(countPromptTokens(without, request, signal)).rejects.toMatchObject({ code: 'invalid-option' })
  const aborted = countPromptTokens(createModel(scripted), request, AbortSignal.abort('left'))
  await expect(aborted).rejects.toBe('left')
})

it('a prompt that is computed ahead has no token, and frees llama.cpp', async () => {
  const scripted = createRuntime()
  const { all, finishReason } = await readAll(generate(scripted, { ...storyRequest(), prefillOnly: true }))
  expect({ all, finishReason }).toMatchObject({ all: [{ kind: 'started' }], finishReason: 'length' })
  expect(scripted.seen.isRunning).toBe(false)
})
