import { expect, it } from 'vitest'
import type { GenerateRequest } from '../../lib/contract/request.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { countPrompt, encodeRequest } from './encode-request.js'
import { openNodeModel } from './open-node-model.test-support.js'

const chatTemplate =
  '{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}{% for message in messages %}{{ message.role }}: ' +
  "{{ message.content or '' }}<|end|>{% for call in message.tool_calls or [] %}<tool_call>\n" +
  '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}\n' +
  '{% endfor %}{{ date }}{% if add_generation_prompt %}assistant: {% endif %}'

it('the tokens of a prompt are counted as an answer to it reports them', { timeout: 60_000 }, async () => {
  const model = await openNodeModel('demo/public/models/stories', chatTemplate)
  const messages = [
    { role: 'user', content: 'Hello <|end|> there 🐉' },
    { role: 'assistant', content: 'Hi.' },
    { role: 'user', content: 'Bye.' },
  ] as const
  const tools = [{ name: 'clock', description: 'Tells the time.', parameters: { type: 'object' } }]
  const requests: readonly GenerateRequest[] = [
    textRequest('Once upon a time'),
    chatRequest('Hello'),
    chatRequest(messages),
    chatRequest(messages, {}, 'Good'),
    chatRequest(messages, { tools }),
    chatRequest(messages, { tools, toolChoice: 'none' }),
    chatRequest(messages, { templateVariables: { date: '27 November' } }),
    {
      ...chatRequest('Hello'),
      resume: {
        handedOver: { text: 'Well, ', tokens: 3 },
        generated: { text: '', tokens: 0, tokenIds: [] },
      },
    },
  ]
  const counts: number[] = []
  for (const request of requests) {
    const { signal } = new AbortController()
    const count = countPrompt(await encodeRequest(model.config, request, signal))
    const steps = model.generate({ ...request, options: { ...request.options, maxTokens: 9 } })
    expect((await steps.next()).value).toMatchObject({ kind: 'started', promptTokens: count })
    await steps.return('stop')
    counts.push(count)
  }
  const [text, hello, chat, continued, withTools, withoutTools, withDate, handedOver] = counts
  expect(text).toBeGreaterThan(3)
  expect(chat).toBeGreaterThan(hello!)
  expect(continued).toBeGreaterThan(chat!)
  expect(withTools).toBeGreaterThan(chat! + 20)
  expect(withoutTools).toBe(chat)
  expect(withDate).toBeGreaterThan(chat!)
  expect(handedOver).toBe(hello)
})

it('a long prompt stops being counted when the signal aborts', { timeout: 60_000 }, async () => {
  const { config } = await openNodeModel('demo/public/models/stories', chatTemplate)
  const abort = new AbortController()
  const counting = encodeRequest(config, textRequest('Once upon a time. '.repeat(50_000)), abort.signal)
  setTimeout(() => abort.abort('left'))
  await expect(counting).rejects.toBe('left')
})
