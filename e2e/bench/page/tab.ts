// A tab of an app with its own engine. The section `tabs` opens several of them, and `load` one for each load.
import type { Engine } from 'rivulet'
import { answerExactly } from './plan.js'
import { createPrompts } from './prompts.js'
import { openEngine, openRivulet, openTransformers } from './subjects.js'
import type { Setup } from './subject.js'

/** What a tab can be asked for. */
export type TabCall =
  | { readonly kind: 'load'; readonly setup: Setup; readonly host: 'tab' | 'shared' }
  /** `count` answers that are requested at once. Their prompts have `context` tokens, and differ for each `seed`. */
  | { readonly kind: 'answer'; readonly count: number; readonly context: number; readonly seed: number }
  /** A load, and the first token after a prompt of `context` tokens. With `isLong`, the tab is then used for some seconds. */
  | {
      readonly kind: 'first token'
      readonly library: 'rivulet' | 'transformers.js'
      readonly setup: Setup
      readonly context: number
      readonly isLong: boolean
    }

export interface TabFigures {
  /** The time of the call. */
  readonly ms: number
  /** From the requests to their first tokens. */
  readonly ttftMs: readonly number[]
  /** How long the requests waited for their turn. */
  readonly queueMs: readonly number[]
}

declare global {
  interface Window {
    readonly openTabs: (count: number) => Promise<void>
    readonly callTab: (tab: number, call: TabCall) => Promise<TabFigures>
    readonly closeTabs: () => Promise<void>
    benchTab: (call: TabCall) => Promise<TabFigures>
  }
}

const newTokens = 2
/** Browsers keep the compiled code of WebAssembly only after it has run for some time. */
const longUse = { tokens: 512, pauseMs: 4000 }

let engine: Engine | undefined

/** Runs a call in this tab. */
export async function runInTab(call: TabCall): Promise<TabFigures> {
  if (call.kind === 'first token') return measureFirstToken(call)
  const startedAt = performance.now()
  const latencies = call.kind === 'load' ? await load(call) : await answer(call)
  return {
    ms: performance.now() - startedAt,
    ttftMs: latencies.map(({ timeToFirstTokenMs }) => timeToFirstTokenMs ?? NaN),
    queueMs: latencies.map(({ queueMs }) => queueMs),
  }
}

async function measureFirstToken(call: Extract<TabCall, { kind: 'first token' }>): Promise<TabFigures> {
  const { library, setup, context, isLong } = call
  const createPrompt = createPrompts()
  const startedAt = performance.now()
  const subject = await (library === 'rivulet' ? openRivulet : openTransformers)(setup)
  const openMs = performance.now() - startedAt
  const prompt = createPrompt(context)
  const { ttftMs } = await answerExactly(subject, context, { prompt, maxTokens: newTokens })
  if (isLong) {
    await subject.answer({ prompt: createPrompt(context), maxTokens: longUse.tokens })
    await new Promise((resolve) => setTimeout(resolve, longUse.pauseMs))
  }
  await subject.close()
  return { ms: openMs + ttftMs, ttftMs: [ttftMs], queueMs: [] }
}

async function load({ setup, host }: Extract<TabCall, { kind: 'load' }>) {
  const sharing = { kind: 'shared', lingerMs: 0 } as const
  ;({ engine } = await openEngine({ ...setup, host: host === 'tab' ? 'tab' : sharing }))
  if (engine.info.host !== host) throw new Error(`The model is loaded with host "${engine.info.host}".`)
  return []
}

function answer({ count, context, seed }: Extract<TabCall, { kind: 'answer' }>) {
  const tab = engine
  if (!tab) throw new Error('This tab has no model.')
  const createPrompt = createPrompts(seed)
  const options = { maxTokens: newTokens, temperature: 0, applyChatTemplate: false }
  const answers = Array.from({ length: count }, () => tab.generate(createPrompt(context), options).result)
  return Promise.all(answers.map(async (each) => (await each).latency))
}
