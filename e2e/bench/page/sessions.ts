import { createEngine, store, type ChatMessage, type Engine, type Prompt } from 'rivulet'
import { onnx } from 'rivulet/onnx'
import { describePlan, sequence, type Plan, type Section } from './plan.js'
import { createPrompts, type CreatePrompt } from './prompts.js'
import { createRow } from './rows.js'
import { findMedian, measureTimes, type BenchModel } from './subject.js'

/** How many tokens each message of a history has, without those of the template. */
const messageTokens = 100
const answerTokens = 6
const budgetBytes = 2 ** 30

/** Measures the first token of a conversation: computed, computed ahead, and kept in the store across a reload of the model. */
export function measureSessions({ device }: { readonly device: 'wasm' | 'webgpu' }): Section {
  return async (plan) => {
    const { model, rounds, contexts } = plan
    const history = contexts.at(-1)!
    const createPrompt = createPrompts()
    const steps: number[] = []
    const cold: number[] = []
    const ahead: number[] = []
    const kept: number[] = []
    for (const round of sequence(rounds)) {
      const measured = await measureRound(model, device, (engine) =>
        engine.info.supports.inputs.includes('chat')
          ? createHistory(createPrompt, history)
          : createPrompt(history),
      )
      steps.push(measured.stepMs)
      cold.push(measured.coldMs)
      ahead.push(measured.aheadMs)
      kept.push(measured.keptMs)
      console.log(`${plan.section}, ${model.name}: round ${round + 1}`)
    }
    return createRows(plan, history, { steps, cold, ahead, kept })
  }
}

/** Creates a conversation whose last message is the user's. */
function createHistory(createPrompt: CreatePrompt, tokens: number): readonly ChatMessage[] {
  const turns = sequence(Math.max(1, Math.floor(tokens / messageTokens / 2) * 2 - 1))
  return turns.map((turn) => ({
    role: turn % 2 === 0 ? 'user' : 'assistant',
    content: createPrompt(messageTokens),
  }))
}

async function measureRound(
  model: BenchModel,
  device: 'wasm' | 'webgpu',
  createHistoryOf: (engine: Engine) => Prompt,
) {
  const open = () =>
    createEngine({
      backend: onnx({ device, dtype: model.dtype, keptPrefixBytes: budgetBytes }),
      model: model.url,
    })
  const first = await open()
  const messages = createHistoryOf(first)
  const { ttftMs: coldMs } = await ask(first, messages)
  const answers = []
  for (const _ of sequence(5)) {
    await first.prefill(messages)
    answers.push(await ask(first, messages))
  }
  const result = await first.prefill(messages, { keepPrefix: true })
  if (!result.isKept) throw new Error(result.reason)
  await first.dispose()
  const second = await open()
  const { ttftMs: keptMs } = await ask(second, messages)
  await second.dispose()
  await store.removePrefixes(model.url)
  const aheadMs = findMedian(answers.map(({ ttftMs }) => ttftMs))
  return { coldMs, keptMs, aheadMs, stepMs: findMedian(answers.map(({ msPerToken }) => msPerToken)) }
}

async function ask(engine: Engine, prompt: Prompt) {
  const startMs = performance.now()
  const times: number[] = []
  const stream = engine.generate(prompt, { temperature: 0, maxTokens: answerTokens })
  for await (const { tokenCount } of stream) if (tokenCount > 0) times.push(performance.now())
  return measureTimes(startMs, times)
}

function createRows(
  plan: Plan,
  context: number,
  { steps, cold, ahead, kept }: Readonly<Record<'steps' | 'cold' | 'ahead' | 'kept', readonly number[]>>,
) {
  const describe = { ...describePlan(plan), context, unit: 'ms' }
  const step = { name: 'a decode step', values: steps }
  return [
    createRow({ ...describe, quantity: 'TTFT of a history', values: cold, baseline: step }),
    createRow({
      ...describe,
      quantity: 'TTFT of a history that is computed ahead',
      values: ahead,
      baseline: step,
      bound: { of: 'ratio', kind: 'at most', limit: 1.2 },
    }),
    createRow({
      ...describe,
      quantity: 'TTFT of a history that was kept, in a new engine',
      values: kept,
      baseline: { name: 'computing it', values: cold },
      bound: { of: 'ratio', kind: 'at most', limit: 0.15 },
    }),
    createRow({
      ...describe,
      quantity: 'TTFT of a history that was kept, in a new engine',
      values: kept,
      baseline: step,
    }),
  ]
}
