import { describe, expect, it } from 'vitest'
import { chatRequest, textRequest } from '../request.test-support.js'
import {
  findCounted,
  generate,
  joinText,
  openLoaded,
  story,
  storyRequest,
} from './open-scripted.test-support.js'

describe('an answer (real engine, scripted pipeline)', () => {
  it('is streamed token by token, with the token counts at the end', async () => {
    const { generate: ask } = await openLoaded({ answers: [story] })
    const { steps, finishReason } = await ask()
    expect(finishReason).toBe('stop')
    expect(steps).toEqual([
      {
        kind: 'started',
        promptTokens: undefined,
        cachedPromptTokens: 0,
        queueMs: 5,
        prefillMs: expect.any(Number),
      },
      ...story.map((text) => ({ kind: 'chunk', text, tokenIds: [], tokenCount: 1 })),
      {
        kind: 'counted',
        promptTokens: expect.any(Number),
        cachedPromptTokens: 0,
        completionTokens: 4,
        timings: { prefillMs: expect.any(Number), decodeMs: expect.any(Number) },
      },
    ])
  })

  it('runs one step per pull, and none ahead', async () => {
    const { backend, seen } = await openLoaded({ answers: [story] })
    const generator = backend.generate(storyRequest(), {
      signal: new AbortController().signal,
      queueMs: 0,
    })
    expect(seen.steps).toBe(0)
    await generator.next()
    await generator.next()
    expect(seen.steps).toBe(1)
    await generator.next()
    expect(seen.steps).toBe(2)
    await generator.return('stop')
    expect(seen).toMatchObject({ steps: 2, isLocked: false })
  })

  it('has no split characters, and keeps an incomplete one at its end', async () => {
    const bytes = [...new TextEncoder().encode('é🐉')].map((byte) => Uint8Array.of(byte))
    const { generate: ask } = await openLoaded({ answers: [['a', ...bytes, 'ü', ...bytes.slice(2, 4)]] })
    const { text, steps } = await ask()
    expect(text).toBe('aé🐉ü\uFFFD\uFFFD')
    expect(joinText(steps.slice(0, -2))).toBe('aé🐉ü')
  })

  it('ends before a stop string that spans tokens, and keeps text that only starts like one', async () => {
    const tokens = ['a E', 'N', 'd, the E', 'N', 'D of it']
    const { generate: ask, seen } = await openLoaded({ answers: [tokens, ['a E', 'N']] })
    expect(await ask(storyRequest({ stop: ['END'] }))).toMatchObject({
      text: 'a ENd, the ',
      finishReason: 'stop',
    })
    expect(seen.steps).toBe(5)
    expect(await ask(storyRequest({ stop: ['END'] }))).toMatchObject({ text: 'a EN', finishReason: 'stop' })
  })

  it("does not show pieces of the model's own stop string", async () => {
    const { generate: ask } = await openLoaded({ answers: [['Hi', '<|im', '_end|>']] })
    expect(await ask()).toMatchObject({ text: 'Hi', finishReason: 'stop' })
  })

  it('ends after maxTokens', async () => {
    const { generate: ask } = await openLoaded({ answers: [story] })
    const { text, finishReason, steps } = await ask(storyRequest({ maxTokens: 2 }))
    expect({ text, finishReason }).toEqual({ text: 'Once upon', finishReason: 'length' })
    expect(findCounted(steps)).toMatchObject({ completionTokens: 2 })
  })

  it('counts the whole prompt of a follow-up, and its cached part', async () => {
    const { generate: ask, seen } = await openLoaded({ answers: [story, ['Yes'], ['No']] })
    const first = { role: 'user', content: 'Tell me a story.' } as const
    const answer = { role: 'assistant', content: story.join('') } as const
    await ask(chatRequest([first]))
    const followUp = await ask(chatRequest([first, answer, { role: 'user', content: 'Go on?' }]))
    const counted = findCounted(followUp.steps)
    expect(counted).toMatchObject({ promptTokens: seen.promptTokens[1] })
    expect(counted).toMatchObject({ cachedPromptTokens: seen.promptTokens[1]! - seen.prefilled[1]!.length })
    expect(seen.prefilled[1]).not.toContain('story')
    const other = await ask(chatRequest([first, { ...answer, content: 'edited' }, first]))
    expect(findCounted(other.steps)).toMatchObject({
      promptTokens: seen.promptTokens[2],
      cachedPromptTokens: 0,
    })
  })

  it('counts correctly after a request that was refused or never started', async () => {
    const { backend, generate: ask, seen } = await openLoaded({ answers: [story, ['Yes']] })
    const first = { role: 'user', content: 'Tell me a story.' } as const
    const answer = { role: 'assistant', content: story.join('') } as const
    await ask(chatRequest([first]))
    await expect(ask(chatRequest([first, { role: 'system', content: 'No.' }, first]))).rejects.toThrow()
    await expect(generate(backend, undefined, AbortSignal.abort())).rejects.toThrow()
    const { steps } = await ask(chatRequest([first, answer, first]))
    expect(findCounted(steps)).toMatchObject({
      promptTokens: seen.promptTokens[1],
      cachedPromptTokens: seen.promptTokens[1]! - seen.prefilled[1]!.length,
    })
    expect(seen.prefilled[1]!.length).toBeLessThan(seen.promptTokens[1]!)
  })

  it('continues raw text without a template', async () => {
    const { generate: ask, seen } = await openLoaded({ answers: [story] })
    await ask(textRequest('Once upon'))
    expect(seen.prefilled).toEqual(['Once upon'])
  })
})

describe('a cancel (real engine, scripted pipeline)', () => {
  it('before the first step does no work', async () => {
    const { backend, seen } = await openLoaded({ answers: [story] })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(generate(backend, undefined, signal)).rejects.toThrow('enough')
    expect(seen).toMatchObject({ steps: 0, requests: [], isLocked: false })
  })

  it.each([0, 1, 2])('in step %i stops after that step, and the next request runs', async (cancelled) => {
    const abort = new AbortController()
    const { backend, seen } = await openLoaded({
      answers: [story, ['Yes', '.']],
      onStep: (step) => (step === cancelled ? abort.abort(new Error('enough')) : undefined),
    })
    await expect(generate(backend, undefined, abort.signal)).rejects.toThrow('enough')
    expect(seen).toMatchObject({ steps: cancelled + 1, interrupts: 1, isLocked: false })
    expect(await generate(backend)).toMatchObject({ text: 'Yes.', finishReason: 'stop' })
  })

  it('stops between tokens that do not complete a character', async () => {
    const abort = new AbortController()
    const half = Uint8Array.of(0xf0)
    const { backend, seen } = await openLoaded({
      answers: [['a', half, half, half, half]],
      onStep: (step) => (step === 2 ? abort.abort(new Error('enough')) : undefined),
    })
    await expect(generate(backend, undefined, abort.signal)).rejects.toThrow('enough')
    expect(seen.steps).toBe(3)
  })

  it('leaves no KV cache that a follow-up reuses', async () => {
    const { backend, seen } = await openLoaded({ answers: [story, ['Yes']] })
    const generator = backend.generate(storyRequest(), {
      signal: new AbortController().signal,
      queueMs: 0,
    })
    await generator.next()
    await generator.next()
    await generator.return('stop')
    const prompt = [
      { role: 'user', content: 'Tell me a story.' },
      { role: 'assistant', content: 'Once' },
      { role: 'user', content: 'Go on.' },
    ] as const
    const { steps } = await generate(backend, chatRequest(prompt))
    expect(findCounted(steps)).toMatchObject({ cachedPromptTokens: 0, promptTokens: seen.promptTokens[1] })
  })
})
