// The embedded model, on ONNX Runtime's WebAssembly in Node.
import * as runtime from 'onnxruntime-web/wasm'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RequestOptions } from '../../lib/contract/request.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest } from '../request.test-support.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

let model: NodeModel
/** The number of rows of each run of the model. */
let runs: number[] = []

beforeAll(async () => {
  const { create } = runtime.InferenceSession
  vi.spyOn(runtime.InferenceSession, 'create').mockImplementation(async (...parameters) => {
    const session = await create(...(parameters as Parameters<typeof create>))
    const run = session.run.bind(session)
    vi.spyOn(session, 'run').mockImplementation((feeds) => {
      runs.push((feeds.input_ids as runtime.Tensor).dims[0]!)
      return run(feeds)
    })
    return session
  })
  model = await openNodeModel('demo/public/models/stories', undefined, ['q8'], undefined, 4)
}, 60_000)
afterAll(() => vi.restoreAllMocks())
beforeEach(() => {
  model.decoder.recall([])
  runs = []
})

const topics = ['a dragon', 'a boat and a very long river that never ended', 'cats', 'the moon. '.repeat(12)]
const ask = (topic: string, options: Partial<RequestOptions> = {}) =>
  chatRequest(`Tell me a story about ${topic}.`, { temperature: 0, maxTokens: 24, ...options })

interface Answer {
  readonly ids: readonly number[]
  readonly steps: readonly GenerationStep[]
}

async function read(request: GenerateRequest): Promise<Answer> {
  const steps: GenerationStep[] = []
  for await (const step of model.generate(request)) steps.push(step)
  return { ids: steps.flatMap((step) => (step.kind === 'chunk' ? step.tokenIds : [])), steps }
}

async function readInTurn(requests: readonly GenerateRequest[]): Promise<(readonly number[])[]> {
  const all: (readonly number[])[] = []
  for (const request of requests) all.push((await read(request)).ids)
  return all
}

const readTogether = async (requests: readonly GenerateRequest[]) =>
  (await Promise.all(requests.map(read))).map(({ ids }) => ids)

describe('answers that are generated at the same time', () => {
  it('are the same as alone, and one run computes a token of each', async () => {
    const requests = topics.map((topic) => ask(topic))
    const alone = await readInTurn(requests)
    runs = []
    expect(await readTogether(requests)).toEqual(alone)
    expect(runs.filter((rows) => rows === 4).length).toBeGreaterThan(18)
    expect(runs.filter((rows) => rows > 1 && rows < 4).length).toBeLessThan(8)
  })

  it('have their own seeds, penalties, biases and log-probabilities', async () => {
    const requests = [
      ask('a dragon', { temperature: 1.2, seed: 1 }),
      ask('a dragon', { temperature: 1.2, seed: 2, topLogprobs: 3 }),
      ask('a dragon', { repetitionPenalty: 1.5, logitBias: { 440: 2 } }),
      ask('a dragon', { topLogprobs: 5 }),
    ]
    const alone: Answer[] = []
    for (const request of requests) alone.push(await read(request))
    const together = await Promise.all(requests.map(read))
    for (const [index, { ids, steps }] of together.entries()) {
      expect(ids).toEqual(alone[index]!.ids)
      const readLogprobs = (all: readonly GenerationStep[]) =>
        all.map((step) => (step.kind === 'chunk' ? step.logprobs?.map(({ top }) => top.length) : undefined))
      expect(readLogprobs(steps)).toEqual(readLogprobs(alone[index]!.steps))
    }
    expect(new Set(together.map(({ ids }) => ids.join())).size).toBeGreaterThan(2)
  })

  it('have their own forms', async () => {
    const requests = [
      ask('cats', { responseFormat: { kind: 'regex', pattern: '(yes|no), it is [0-9]{3}' } }),
      ask('cats'),
      ask('dogs', { responseFormat: { kind: 'regex', pattern: '[a-z]{5,9}' } }),
    ]
    const alone = await readInTurn(requests)
    expect(await readTogether(requests)).toEqual(alone)
    expect(model.config.tokenizer.decode(alone[0]!)).toMatch(/^(yes|no), it is \d{3}$/)
  })

  it('start and end at any step: each delays the others by at most one run between two of their tokens', async () => {
    const first = model.generate(ask('a dragon', { maxTokens: 30 }))
    const expected = (await read(ask('a dragon', { maxTokens: 30 }))).ids
    const ids: number[] = []
    const others: Promise<Answer>[] = []
    let before = 0
    const delays: number[] = []
    for await (const step of first) {
      if (step.kind !== 'chunk') continue
      ids.push(...step.tokenIds)
      delays.push(runs.length - before)
      before = runs.length
      // Their prompts are longer than a chunk of the prefill, and their answers end at different steps.
      const count = ids.length
      if (count === 4 || count === 7 || count === 8)
        others.push(read(ask(`the number ${count}. `.repeat(40), { maxTokens: count })))
    }
    expect(ids).toEqual(expected)
    expect(delays.slice(1).every((runsBetween) => runsBetween <= 2)).toBe(true)
    await Promise.all(others)
  })

  it('wait for no reader but their own', async () => {
    const unread = model.generate(ask('cats'))
    for (let index = 0; index < 4; index += 1) await unread.next()
    const expected = (await read(ask('a dragon'))).ids
    const [a, b] = await readTogether([ask('a dragon'), ask('a dragon')])
    expect([a, b]).toEqual([expected, expected])
    const rest: number[] = []
    for await (const step of unread) if (step.kind === 'chunk') rest.push(...step.tokenIds)
    expect(rest).toEqual((await read(ask('cats'))).ids.slice(3))
  })

  it('end at once when they are left, and the others go on', async () => {
    const expected = (await read(ask('a dragon'))).ids
    const left = model.generate(ask('cats'))
    const other = read(ask('a dragon'))
    for (let index = 0; index < 5; index += 1) await left.next()
    await left.return('stop')
    expect((await other).ids).toEqual(expected)
    runs = []
    await read(ask('a dragon', { maxTokens: 5 }))
    expect(runs.every((rows) => rows === 1)).toBe(true)
  })

  it('with the same prompt compute it once', async () => {
    const long = 'the moon. '.repeat(30)
    const answers = await Promise.all([1, 2, 3, 4].map((seed) => read(ask(long, { temperature: 1, seed }))))
    const cached = answers.map(({ steps }) => {
      const started = steps.find((step) => step.kind === 'started')!
      return started.promptTokens! - started.cachedPromptTokens!
    })
    expect(cached[0]).toBeGreaterThan(60)
    expect(cached.slice(1)).toEqual([1, 1, 1])
  })
})
