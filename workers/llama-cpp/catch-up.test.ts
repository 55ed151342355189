import { describe, expect, it } from 'vitest'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { plainFamily } from '../text/channels/answer-family.js'
import { createRuntime, generate, readAll, thinkingFamily } from './scripted-runtime.test-support.js'

type Chunk = Extract<GenerationStep, { kind: 'chunk' }>

const isChunk = (step: GenerationStep): step is Chunk => step.kind === 'chunk'

/** Returns the chunks. The ids of their calls are random, so each is replaced. */
const listChunks = (steps: readonly GenerationStep[]): unknown[] =>
  steps
    .filter(isChunk)
    .map((chunk) => JSON.parse(JSON.stringify(chunk).replaceAll(/"id":"[^"]*"/g, '"id":""')))

const listTexts = (steps: readonly GenerationStep[]) => steps.filter(isChunk).map(({ text }) => text)

/** What the reader of these chunks has. */
function resumeAfter(chunks: readonly Chunk[]): Resume {
  const sum = (read: (chunk: Chunk) => string) => chunks.map(read).join('')
  return {
    handedOver: { text: '', tokens: 0 },
    generated: {
      text: sum(({ text }) => text),
      reasoning: sum(({ reasoning = '' }) => reasoning),
      raw: sum(({ raw, text }) => raw ?? text),
      tokens: chunks.reduce((tokens, { tokenCount }) => tokens + tokenCount, 0),
      tokenIds: [],
    },
  }
}

const number = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
const inForm = { responseFormat: { kind: 'json-schema', schema: number } } as const
const clock = { name: 'clock', parameters: { type: 'object', properties: {}, additionalProperties: false } }

const answers: readonly {
  readonly title: string
  readonly answer: readonly string[]
  readonly options: Partial<RequestOptions>
}[] = [
  // The tokenizer would make other tokens of this text.
  {
    title: 'in a form',
    answer: ['{', '"', 'a', '": ', '1', '2', '}'],
    options: { temperature: 0, ...inForm },
  },
  {
    title: 'with a thought and two calls',
    answer: [
      '<think>,Hm,.,</think>,\n,\n',
      '<tool_call>,\n{"na,me": "clock", "arguments": {,}}\n,</tool_call>,\n',
      '<tool_call>,\n{"name": "clock", "arguments": {}}\n,</tool_call>',
    ].flatMap((tokens) => tokens.split(/,(?! )/)),
    options: { temperature: 0, tools: [clock] },
  },
  {
    title: 'with a thought that used all its tokens',
    answer: ['a', 'b', 'c', 'd'],
    options: { seed: 1, reasoning: { maxTokens: 2 }, maxTokens: 9 },
  },
  { title: 'drawn with a seed', answer: ['Once', ' upon', ' a', ' time'], options: { seed: 1 } },
  {
    title: 'with a character of two tokens, and text that could become a stop string',
    answer: ['Hello', '', '👋', ' E', 'N', '', 'D'],
    options: { temperature: 0, stop: ['END OF'] },
  },
]

describe('an answer of llama.cpp’s after a loss (scripted runtime)', () => {
  it.each(answers)('$title is the same from every place', async ({ answer, options }) => {
    const request = chatRequest('Hi', options)
    const run = (resume?: Resume) => {
      const scripted = createRuntime({ answer: [...answer] })
      return readAll(generate(scripted, { ...request, ...(resume && { resume }) }, undefined, thinkingFamily))
    }
    const whole = await run()
    const chunks = whole.all.filter(isChunk)
    expect(chunks.length).toBeGreaterThan(3)
    for (let cut = 1; cut < chunks.length; cut += 1) {
      const { all, finishReason } = await run(resumeAfter(chunks.slice(0, cut)))
      expect(finishReason).toBe(whole.finishReason)
      expect(listChunks(all), `after ${cut} chunks`).toEqual(listChunks(chunks.slice(cut)))
      expect(all[0]).toMatchObject({ kind: 'started', promptTokens: 7 })
      expect(all.filter(({ kind }) => kind === 'started')).toHaveLength(1)
      expect(all.at(-1)).toMatchObject({
        kind: 'counted',
        completionTokens: (whole.all.at(-1) as { completionTokens: number }).completionTokens,
      })
    }
  })

  const story = ['Once', ' upon', ' a', ' time', '.']
  const lost = (text: string, tokens: number, options: Partial<RequestOptions> = {}): GenerateRequest => ({
    ...textRequest('Tell me a story.', options),
    resume: { handedOver: { text: '', tokens: 0 }, generated: { text, tokens, tokenIds: [] } },
  })

  it.each([
    ['it would be another one', 'Once there', 2],
    ['its tokens are others', 'Once upon', 3],
    ['it would have ended', 'Once upon a time. And', 6],
  ])('continues from its text if %s when it is generated again', async (_, text, tokens) => {
    const scripted = createRuntime({ answer: story })
    const { all } = await readAll(generate(scripted, lost(text, tokens, { seed: 1, maxTokens: 8 })))
    expect(scripted.seen.options.map(({ prompt, max_tokens: max }) => [prompt, max])).toEqual([
      ['Tell me a story.', 8],
      [`Tell me a story.${text}`, 8 - tokens],
    ])
    expect(all.filter(({ kind }) => kind === 'started')).toHaveLength(1)
    expect(listTexts(all)).toEqual(story.slice(0, 8 - tokens))
  })

  it('continues from its text at once if that gives the same tokens, or if it was drawn without a seed', async () => {
    // The stand-in counts one token for each character.
    for (const options of [{ temperature: 0 }, { temperature: 1 }, {}]) {
      const scripted = createRuntime({ answer: story })
      await readAll(generate(scripted, lost('On', 2, options)))
      expect(scripted.seen.options.map(({ prompt }) => prompt)).toEqual(['Tell me a story.On'])
    }
    const scripted = createRuntime({ answer: story })
    await readAll(generate(scripted, lost('Once upon', 2, { temperature: 0 })))
    expect(scripted.seen.options.map(({ prompt }) => prompt)).toEqual(['Tell me a story.'])
  })

  it('starts again after the text of another model', async () => {
    const scripted = createRuntime({ answer: story })
    const resume = {
      handedOver: { text: ' Well,', tokens: 2 },
      generated: { text: 'Once', tokens: 1, tokenIds: [] },
    }
    const request = { ...textRequest('Tell me a story.', { seed: 1, maxTokens: 6 }), resume }
    const { all } = await readAll(generate(scripted, request))
    expect(scripted.seen.options).toMatchObject([{ prompt: 'Tell me a story. Well,', max_tokens: 4 }])
    expect(listTexts(all)).toEqual([' upon', ' a', ' time'])
    expect(all.at(-1)).toMatchObject({ completionTokens: 6 })
  })

  it('reports the tokens that are generated again as a part of the prompt, before it has started', async () => {
    const request = { ...lost('Once upon a', 3, { seed: 1 }), reportsPrefill: true }
    const { all } = await readAll(generate(createRuntime({ answer: story, prefillSteps: 4 }), request))
    const reports = all.flatMap((step) =>
      step.kind === 'prefilling' ? [[step.computedTokens, step.totalTokens]] : [],
    )
    expect(reports).toEqual([4, 5, 6, 8, 9].map((computed) => [computed, 10]))
    expect(all.map(({ kind }) => kind).slice(reports.length)).toEqual([
      'started',
      'chunk',
      'chunk',
      'counted',
    ])
  })

  it.each(['return', 'signal'])('stops within one step of a %s while it is generated again', async (how) => {
    const scripted = createRuntime({ answer: Array.from({ length: 1000 }, () => 'a') })
    const abort = new AbortController()
    const request = { ...lost('a'.repeat(999), 999, { seed: 1 }), reportsPrefill: true }
    const steps = generate(scripted, request, abort.signal, plainFamily)
    for (let count = 0; count < 5; count += 1) await steps.next()
    const before = scripted.seen.steps
    if (how === 'return') await steps.return('stop')
    else {
      abort.abort(new Error('enough'))
      await expect(readAll(steps)).rejects.toThrow('enough')
    }
    expect(scripted.seen.isRunning).toBe(false)
    expect(scripted.seen.steps).toBeLessThanOrEqual(before + 1)
  })
})
