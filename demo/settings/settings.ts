import { signal, type ReadonlySignal } from '@preact/signals'
import { RivuletError } from 'rivulet'
import { createChat, type ChatSampling } from 'rivulet/chat'
import { browserTexts } from '../app/stored.js'

/** What the visitor has set, beside the model. A field that is left empty is undefined: the model's or the library's own. */
export interface Settings extends SamplingSettings {
  readonly system: string | undefined
  /** Prompt and answer together, in tokens, for backends that take it. */
  readonly contextLength: number | undefined
  /** Names of backends, the preferred one first. */
  readonly backendOrder: readonly string[]
  /** The API of a server that also answers, in its place of the order, and its name for the model. */
  readonly server: string | undefined
  readonly serverModel: string | undefined
}

type SamplingSettings = { readonly [Name in SamplingName]: number | undefined }

export type SamplingName = 'temperature' | 'topP' | 'topK' | 'maxTokens' | 'seed'

export interface SettingsStore {
  readonly current: ReadonlySignal<Settings>
  /** Keeps what is changed, also for the next visit. */
  change(changed: Partial<Settings>): void
}

const storageKey = 'rivulet-demo-settings'

const defaults = {
  temperature: undefined,
  topP: undefined,
  topK: undefined,
  maxTokens: undefined,
  seed: undefined,
  system: undefined,
  contextLength: undefined,
  backendOrder: ['onnx', 'llama-cpp', 'web-llm', 'remote'],
  server: undefined,
  serverModel: undefined,
} satisfies Settings

export function openSettings(): SettingsStore {
  const current = signal<Settings>({ ...defaults, ...readKept() })
  return {
    current,
    change(changed) {
      current.value = { ...current.value, ...changed }
      browserTexts.write(storageKey, JSON.stringify(current.value))
    },
  }
}

/** What was kept, and is still what the library takes. */
function readKept(): Partial<Settings> {
  const kept = parse(browserTexts.read(storageKey))
  const { system, contextLength, backendOrder, server, serverModel } = kept
  const sampling = Object.fromEntries(
    samplingNames.flatMap((name) => {
      const value = kept[name]
      return typeof value === 'number' && checkSampling({ [name]: value }) === undefined
        ? [[name, value]]
        : []
    }),
  )
  const isOrder =
    Array.isArray(backendOrder) && backendOrder.toSorted().join() === defaults.backendOrder.toSorted().join()
  return {
    ...sampling,
    ...(typeof system === 'string' && system !== '' && { system }),
    ...(Number.isSafeInteger(contextLength) && { contextLength: contextLength as number }),
    ...(isOrder && { backendOrder }),
    ...(typeof server === 'string' && { server }),
    ...(typeof serverModel === 'string' && { serverModel }),
  }
}

function parse(json: string | undefined): Partial<Record<keyof Settings, unknown>> {
  try {
    return JSON.parse(json ?? '{}') ?? {}
  } catch {
    return {}
  }
}

const samplingNames = ['temperature', 'topP', 'topK', 'maxTokens', 'seed'] as const satisfies SamplingName[]

export function readSampling(settings: Settings): ChatSampling {
  return Object.fromEntries(samplingNames.map((name) => [name, settings[name]]))
}

/** @returns the library's complaint about these options; undefined where it takes them */
export function checkSampling(sampling: ChatSampling): string | undefined {
  return findComplaint(() => createChat({ engine: noEngine, sampling }))
}

/** Checks need none. */
const noEngine = new Promise<never>(() => {})

export async function checkContextLength(contextLength: number): Promise<string | undefined> {
  const { llamaCpp } = await import('rivulet/llama-cpp')
  return findComplaint(() => llamaCpp({ contextLength }))
}

export async function checkServer(baseURL: string): Promise<string | undefined> {
  const { remote } = await import('rivulet/remote')
  return findComplaint(() => remote({ baseURL, model: 'any' }))
}

function findComplaint(check: () => unknown): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof RivuletError) return error.message
    throw error
  }
}
