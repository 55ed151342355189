import { signal, type ReadonlySignal } from '@preact/signals'
import { RivuletError } from 'rivulet'
import { createChat, type ChatSampling } from 'rivulet/chat'
import { browserTexts } from '../app/stored.js'

/** The user's settings, except the model. An empty field is undefined: the default of the model or the library applies. */
export interface Settings extends SamplingSettings {
  readonly system: string | undefined
  /** Prompt and answer together, in tokens, on backends that support it. */
  readonly contextLength: number | undefined
  /** Names of backends, the preferred one first. */
  readonly backendOrder: readonly string[]
  /** Base URL of the fallback server, which has its place in the order, and the model's name there. */
  readonly server: string | undefined
  readonly serverModel: string | undefined
}

type SamplingSettings = { readonly [Name in SamplingName]: number | undefined }

export type SamplingName = 'temperature' | 'topP' | 'topK' | 'maxTokens' | 'seed'

export interface SettingsStore {
  readonly current: ReadonlySignal<Settings>
  /** Applies and saves the changed settings. */
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
  const current = signal<Settings>({ ...defaults, ...readSaved() })
  return {
    current,
    change(changed) {
      current.value = { ...current.value, ...changed }
      browserTexts.write(storageKey, JSON.stringify(current.value))
    },
  }
}

/** Returns the saved settings that the library still accepts. */
function readSaved(): Partial<Settings> {
  const saved = parse(browserTexts.read(storageKey))
  const { system, contextLength, backendOrder, server, serverModel } = saved
  const sampling = Object.fromEntries(
    samplingNames.flatMap((name) => {
      const value = saved[name]
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

/** @returns the library's error message for these options; undefined if they are valid */
export function checkSampling(sampling: ChatSampling): string | undefined {
  return findError(() => createChat({ engine: noEngine, sampling }))
}

/** Validation needs no engine. */
const noEngine = new Promise<never>(() => {})

export async function checkContextLength(contextLength: number): Promise<string | undefined> {
  const { llamaCpp } = await import('rivulet/llama-cpp')
  return findError(() => llamaCpp({ contextLength }))
}

export async function checkServer(baseURL: string): Promise<string | undefined> {
  const { remote } = await import('rivulet/remote')
  return findError(() => remote({ baseURL, model: 'any' }))
}

function findError(check: () => unknown): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof RivuletError) return error.message
    throw error
  }
}
