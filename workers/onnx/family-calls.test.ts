import { existsSync } from 'node:fs'
import { Ajv } from 'ajv'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { GenerateRequest, RequestOptions, RequestTool } from '../../lib/contract/request.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

const isSoak = Number(process.env.RIVULET_SOAK ?? 1) > 1

const tools: readonly RequestTool[] = [
  {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 20 },
        days: { type: 'integer', minimum: 1, maximum: 9 },
        unit: { enum: ['C', 'F'] },
      },
      required: ['city', 'days'],
    },
  },
  { name: 'clock', description: 'The time.', parameters: { type: 'object', properties: {} } },
]
const validators = new Map(tools.map(({ name, parameters }) => [name, new Ajv().compile(parameters)]))

/** A template in the style of each family, for a model that knows none of them. */
const start = '{{ tools | tojson if tools }}{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}'
const templates: Readonly<Record<string, string>> = {
  Hermes: `${start}<|assistant|>{# <tool_call>{"name": }</tool_call> #}`,
  'a thought and Hermes': `${start}<|assistant|>{# <think></think><tool_call></tool_call> #}`,
  Llama: `${start}<|assistant|>{# {"name": "f", "parameters": } #}`,
  'Mistral, a list': `${start}<|assistant|>{# [TOOL_CALLS] [] #}`,
  'Mistral, named': `${start}<|assistant|>{# [TOOL_CALLS]f[ARGS]{} #}`,
  'Qwen3-Coder': `${start}<|assistant|>{# <tool_call><function=f> #}`,
  'GLM-4.5': `${start}<|assistant|>{# <tool_call><arg_key> #}`,
  'Gemma 3': `${start}<|assistant|>{# \`\`\`tool_code #}`,
  'Gemma 4': `${start}<|assistant|>{# <|tool_call> #}`,
  'DeepSeek R1': `${start}<|assistant|>{# <｜tool▁call▁begin｜> \`\`\`json #}`,
}

function ask(options: Partial<RequestOptions>, resume?: GenerateRequest['resume']): GenerateRequest {
  return {
    input: {
      kind: 'chat',
      messages: [{ role: 'user', content: 'How is the weather in Bern?' }],
      assistantPrefix: '',
    },
    options: { stop: [], maxTokens: 200, ...options },
    resume,
  }
}

function expectValid(calls: readonly { readonly name: string; readonly arguments: string }[], where: string) {
  expect(calls.length, where).toBeGreaterThan(0)
  for (const { name, arguments: text } of calls) {
    const validate = validators.get(name)
    expect(validate?.(JSON.parse(text)), `${where}: ${name} ${text}`).toBe(true)
  }
}

describe.each(Object.entries(templates))('a model with the template of %s', (name, chatTemplate) => {
  let model: NodeModel
  beforeAll(async () => {
    model = await openNodeModel('demo/public/models/stories', chatTemplate)
  }, 60_000)

  it('calls tools with valid arguments if it must call one', { timeout: 600_000 }, async () => {
    for (let seed = 0; seed < (isSoak ? 100 : 2); seed += 1) {
      const options = {
        tools,
        toolChoice: 'required',
        parallelToolCalls: false,
        reasoning: 'off',
        temperature: 1.5,
        seed,
      } as const
      const { text, end, generated } = await model.run(ask(options))
      if (end === 'length') continue
      expect({ end, text }, `seed ${seed}: ${generated.raw}`).toEqual({ end: 'tool-calls', text: '' })
      expect(generated.toolCalls).toHaveLength(1)
      expectValid(generated.toolCalls ?? [], `${name}, seed ${seed}: ${generated.raw}`)
    }
  })

  it('calls the tool that the request names', { timeout: 60_000 }, async () => {
    const { generated } = await model.run(
      ask({ tools, toolChoice: { name: 'clock' }, reasoning: 'off', temperature: 1.5, seed: 3 }),
    )
    expect(generated.toolCalls).toMatchObject([{ name: 'clock', arguments: '{}' }])
  })
})

describe('a lost answer', () => {
  let model: NodeModel
  beforeAll(async () => {
    model = await openNodeModel('demo/public/models/stories', templates['a thought and Hermes']!)
  }, 60_000)

  it.each([
    ['in a tool call', { tools, toolChoice: 'required', parallelToolCalls: false }],
    ['in a thought', { reasoning: { maxTokens: 6 } }],
    [
      'in a thought before a tool call',
      { reasoning: { maxTokens: 6 }, tools, toolChoice: { name: 'weather' } },
    ],
  ] as const)('continues as if nothing had happened: %s', { timeout: 600_000 }, async (_, options) => {
    const request = { ...options, temperature: 1.2, seed: 5, maxTokens: 60 }
    const whole = await model.run(ask(request))
    const comparable = ({ generated, end }: typeof whole) => ({
      ...generated,
      toolCalls: generated.toolCalls?.map(({ name, arguments: text }) => ({ name, text })),
      end,
    })
    for (let chunks = 1; chunks <= whole.ids.length; chunks += isSoak ? 1 : 3) {
      const lost = await model.run(ask(request), chunks)
      const resume = { handedOver: { text: '', tokens: 0 }, generated: lost.generated }
      expect(comparable(await model.run(ask(request, resume))), `after ${chunks} chunks`).toEqual(
        comparable(whole),
      )
    }
  })
})

describe('the reasoning', () => {
  let model: NodeModel
  beforeAll(async () => {
    model = await openNodeModel('demo/public/models/stories', templates['a thought and Hermes']!)
  }, 60_000)

  it('ends after its number of tokens, and the text follows', async () => {
    const { text, generated } = await model.run(
      ask({ reasoning: { maxTokens: 5 }, temperature: 0, maxTokens: 40 }),
    )
    expect(generated.reasoning).not.toBe('')
    expect(model.config.tokenizer.decode(generated.tokenIds.slice(0, 5)).trim()).toBe(generated.reasoning)
    expect(generated.raw).toContain(`${generated.reasoning}\n</think>\n\n`)
    expect(text).not.toBe('')
    expect(text).not.toContain('think>')
  })

  it('that opens again after its tokens are used up ends after the steps that were started ahead', async () => {
    const { tokenizer } = model.config
    const encode = (text: string) =>
      tokenizer.encode([{ text, isContent: false }], new AbortController().signal)
    const [opening, words] = [await encode('<think>'), await encode('a b c d e f g h')]
    // A stand-in for the tokens of the model.
    const script = [...words.slice(0, 2), ...opening, ...words]
    const events: string[] = []
    vi.spyOn(model.decoder, 'next').mockImplementation(async (_, following) => {
      events.push(`next ${following}`)
      return script.shift()!
    })
    vi.spyOn(model.decoder, 'append').mockImplementation(() => void events.push('forced'))
    const { generated } = await model.run(ask({ reasoning: { maxTokens: 2 }, maxTokens: 40 }))
    vi.restoreAllMocks()
    const [first, second] = [events.indexOf('forced'), events.lastIndexOf('forced')]
    expect(events.slice(0, first)).toEqual(['next 1', 'next 0'])
    // The last token of the opening lets two steps start. Their tokens are read before others are forced.
    expect(events.slice(first + 1, second)).toEqual([...opening.map(() => 'next 2'), 'next 0', 'next 0'])
    expect(generated.raw?.match(/<\/think>/g)).toHaveLength(2)
  })

  it('is empty if it is off', async () => {
    const { text, generated } = await model.run(ask({ reasoning: 'off', temperature: 0, maxTokens: 10 }))
    expect({ reasoning: generated.reasoning, isEmpty: text === '' }).toEqual({
      reasoning: '',
      isEmpty: false,
    })
  })

  it('is open from the first token if it is on', async () => {
    const { text, generated } = await model.run(ask({ reasoning: 'on', temperature: 0, maxTokens: 10 }))
    expect({ text, isEmpty: generated.reasoning === '' }).toEqual({ text: '', isEmpty: false })
  })
})

// The model is downloaded by the e2e tests.
const smollm2 = '.cache/models/smollm2-135m-instruct'
describe.skipIf(!isSoak || !existsSync(smollm2))('SmolLM2-135M-Instruct', () => {
  it('calls tools with valid arguments, 100 of 100', { timeout: 7_200_000 }, async () => {
    const chatTemplate = `{% if tools %}<|im_start|>system\nCall a tool: {{ tools | tojson }}<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n{# <tool_call></tool_call> #}`
    const model = await openNodeModel(smollm2, chatTemplate, ['q4'])
    for (let seed = 0; seed < 100; seed += 1) {
      const options = {
        tools,
        toolChoice: 'required',
        parallelToolCalls: false,
        temperature: 1,
        seed,
      } as const
      const { end, generated } = await model.run(ask(options))
      expect(end, `seed ${seed}: ${generated.raw}`).toBe('tool-calls')
      expectValid(generated.toolCalls ?? [], `seed ${seed}: ${generated.raw}`)
    }
  })
})
