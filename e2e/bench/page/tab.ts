// A tab of an app with its own engine. The section `tabs` opens several of them.
import type { Engine } from 'rivulet'
import { createPrompts } from './prompts.js'
import { openEngine } from './subjects.js'
import type { Setup } from './subject.js'

/** What a tab can be asked for. */
export type TabCall =
  | { readonly kind: 'load'; readonly setup: Setup; readonly host: 'tab' | 'shared' }
  /** `count` answers that are requested at once. Their prompts have `context` tokens, and differ for each `seed`. */
  | { readonly kind: 'answer'; readonly count: number; readonly context: number; readonly seed: number }

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

let engine: Engine | undefined

/** Runs a call in this tab. */
export async function runInTab(call: TabCall): Promise<TabFigures> {
  const startedAt = performance.now()
  const latencies = call.kind === 'load' ? await load(call) : await answer(call)
  return {
    ms: performance.now() - startedAt,
    ttftMs: latencies.map(({ timeToFirstTokenMs }) => timeToFirstTokenMs ?? NaN),
    queueMs: latencies.map(({ queueMs }) => queueMs),
  }
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
