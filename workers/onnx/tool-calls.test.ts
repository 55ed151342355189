// The embedded model, which has never seen a tool, with a chat template in the style of Hermes and Qwen: what it writes is
// valid only because of the form.
import { Ajv } from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import type { RequestOptions } from '../../lib/contract/request.js'
import type { ToolCall } from '../../lib/contract/worker-api.js'
import { chatRequest } from '../request.test-support.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

const chatTemplate =
  '{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}{% for message in messages %}{{ message.role }}: ' +
  "{{ message.content or '' }}{% for call in message.tool_calls or [] %}<tool_call>\n" +
  '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}\n' +
  '{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}'

const weather = {
  name: 'weather',
  description: 'Tells the weather.',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string', maxLength: 20 },
      days: { type: 'integer', minimum: 1, maximum: 9 },
      unit: { enum: ['celsius', 'fahrenheit'] },
    },
    required: ['city', 'days', 'unit'],
    additionalProperties: false,
  },
}
const clock = { name: 'clock', parameters: { type: 'object', properties: {} } }
const tools = [weather, clock]
const validators = new Map(tools.map(({ name, parameters }) => [name, new Ajv().compile(parameters)]))
const calls = process.env.RIVULET_SOAK ? 100 : 10

let model: NodeModel
beforeAll(async () => {
  model = await openNodeModel('demo/public/models/stories', chatTemplate)
}, 60_000)

async function ask(options: Partial<RequestOptions>) {
  const steps = model.generate(chatRequest('What is the weather?', { maxTokens: 120, tools, ...options }))
  let text = ''
  const found: { -readonly [Name in keyof ToolCall]: ToolCall[Name] }[] = []
  let step = await steps.next()
  for (; !step.done; step = await steps.next()) {
    if (step.value.kind !== 'chunk') continue
    text += step.value.text
    for (const { index, id = '', name = '', argumentsDelta } of step.value.toolCalls ?? []) {
      const call = (found[index] ??= { id, name, arguments: '' })
      call.arguments += argumentsDelta
    }
  }
  return { text, calls: found, end: step.value }
}

function expectValid({ name, arguments: text }: ToolCall): void {
  const validate = validators.get(name)
  expect(validate, name).toBeDefined()
  expect(validate?.(JSON.parse(text)), text).toBe(true)
}

describe('calls of tools', () => {
  test('parse and validate when they are required, at any temperature', async () => {
    for (let seed = 1; seed <= calls; seed += 1) {
      const answer = await ask({ toolChoice: 'required', temperature: 1.5, seed, parallelToolCalls: false })
      expect(answer, `seed ${seed}`).toMatchObject({ text: '', end: 'tool-calls' })
      expect(answer.calls).toHaveLength(1)
      expectValid(answer.calls[0]!)
    }
  })

  test('are of the tool that is named', async () => {
    const answer = await ask({ toolChoice: { name: 'clock' }, temperature: 1.5, seed: 3 })
    expect(answer).toMatchObject({ text: '', end: 'tool-calls', calls: [{ name: 'clock', arguments: '{}' }] })
  })

  test('are not possible with the choice "none"', async () => {
    const answer = await ask({ toolChoice: 'none', temperature: 0, maxTokens: 20 })
    expect(answer.calls).toEqual([])
    expect(answer.text).not.toBe('')
  })

  test('can be several in one answer, each valid', async () => {
    const answer = await ask({ toolChoice: 'required', temperature: 1, seed: 2, maxTokens: 300 })
    for (const call of answer.end === 'length' ? answer.calls.slice(0, -1) : answer.calls) expectValid(call)
    expect(new Set(answer.calls.map(({ id }) => id)).size).toBe(answer.calls.length)
  })
})
