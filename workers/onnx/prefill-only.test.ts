// The embedded model.
import { beforeAll, expect, it } from 'vitest'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest } from '../request.test-support.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

let model: NodeModel
beforeAll(async () => {
  model = await openNodeModel('demo/public/models/stories')
}, 60_000)

const messages = [
  { role: 'user', content: 'Tell me a story about a dragon. '.repeat(12) },
  { role: 'assistant', content: 'Once upon a time. '.repeat(12) },
  { role: 'user', content: 'Tell me more about the dragon.' },
] as const

async function run(request: GenerateRequest) {
  const steps = model.generate(request)
  const all: GenerationStep[] = []
  let step = await steps.next()
  for (; !step.done; step = await steps.next()) all.push(step.value)
  return { all, end: step.value, started: all.find((each) => each.kind === 'started') }
}

const readIds = (steps: readonly GenerationStep[]) =>
  steps.flatMap((step) => (step.kind === 'chunk' ? step.tokenIds : []))

it('a prompt that is computed ahead leaves nothing to compute before the first token, which is the same', async () => {
  const request = chatRequest(messages, { temperature: 0, maxTokens: 5 })
  const cold = await run(request)
  expect(cold.started).toMatchObject({ cachedPromptTokens: 0 })
  // Another conversation, so that the cache is not this one's.
  await run(chatRequest('Hello', { maxTokens: 1 }))
  model.decoder.recall([])
  const ahead = await run({ ...request, prefillOnly: true })
  expect(ahead).toMatchObject({ end: 'length', all: [{ kind: 'started' }] })
  const warm = await run(request)
  expect(warm.started).toMatchObject({ cachedPromptTokens: cold.started!.promptTokens! })
  expect(readIds(warm.all)).toEqual(readIds(cold.all))
})

it('two conversations that continue a computed one both reuse it', async () => {
  const start = messages.slice(0, 2)
  await run({ ...chatRequest(start), prefillOnly: true })
  const { started } = await run({ ...chatRequest(start), prefillOnly: true })
  const shared = started!.promptTokens! - 3
  for (const content of ['The first continuation', 'Another one']) {
    const next = await run(chatRequest([...start, { role: 'user', content }], { maxTokens: 3 }))
    expect(next.started!.cachedPromptTokens).toBeGreaterThanOrEqual(shared)
  }
})
