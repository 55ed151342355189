import { availability } from '../availability.js'
import { createEngine, type Engine } from '../engine.js'
import type { EngineOptions } from '../engine-options.js'
import { store } from '../store.js'
import type { LanguageModelAvailability } from './dictionaries.js'

/** Where the sessions get their engine. */
export type EngineSource = Engine | PromiseLike<Engine> | EngineOptions

/** Loads the engine for the first session, and unloads it after the last one. */
export interface ModelSlot {
  /** The engine, if it is loaded. */
  readonly engine: Engine | undefined
  /** What `create()` would have to do first. Never rejects. */
  availability(): Promise<LanguageModelAvailability>
  /**
   * Loads the engine, if it is not loaded.
   * @param onFraction called with the part of the loading that is done, from 0 to 1
   * @throws the error of the load
   */
  load(onFraction: (fraction: number) => void): Promise<Engine>
  /** Keeps the engine loaded. @returns a function that ends this */
  hold(): () => void
}

/** @param unloadAfterMs how long an engine that the slot has loaded stays loaded without a session */
export function createModelSlot(source: EngineSource, unloadAfterMs: number): ModelSlot {
  if ('backend' in source) return createLoadingSlot(source, unloadAfterMs)
  const engine = Promise.resolve(source)
  let state: LanguageModelAvailability = 'downloading'
  let loaded: Engine | undefined = 'generate' in source ? source : undefined
  if (loaded) state = 'available'
  const settle = (settled: LanguageModelAvailability, ready?: Engine) => {
    state = settled
    loaded = ready
  }
  engine.then(
    (ready) => settle('available', ready),
    () => settle('unavailable'),
  )
  return {
    get engine() {
      return loaded
    },
    availability: async () => state,
    load: () => engine,
    hold: () => () => {},
  }
}

function createLoadingSlot(options: EngineOptions, unloadAfterMs: number): ModelSlot {
  const listeners = new Set<(fraction: number) => void>()
  let loading: Promise<Engine> | undefined
  let engine: Engine | undefined
  let fraction = 0
  let holders = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  async function load(): Promise<Engine> {
    fraction = 0
    try {
      engine = await createEngine({
        ...options,
        onProgress(progress) {
          options.onProgress?.(progress)
          fraction = progress.fraction
          for (const listener of listeners) listener(fraction)
        },
      })
      return engine
    } catch (error) {
      // The next session tries again.
      loading = undefined
      throw error
    }
  }

  function unload(): void {
    if (holders > 0 || !engine) return
    void engine.dispose()
    engine = undefined
    loading = undefined
  }

  return {
    get engine() {
      return engine
    },
    async availability() {
      if (engine) return 'available'
      if (loading) return 'downloading'
      return findAvailability(options)
    },
    async load(onFraction) {
      loading ??= load()
      listeners.add(onFraction)
      onFraction(fraction)
      try {
        return await loading
      } finally {
        listeners.delete(onFraction)
      }
    },
    hold() {
      holders += 1
      clearTimeout(timer)
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        holders -= 1
        if (holders === 0) timer = setTimeout(unload, unloadAfterMs)
      }
    },
  }
}

/** Returns whether the first backend that can run has its model in this browser. */
async function findAvailability({
  backend,
  model,
  download,
}: EngineOptions): Promise<LanguageModelAvailability> {
  const backends = [backend].flat()
  const checked = await availability(...backends)
  const first = checked.backends.findIndex(({ isAvailable }) => isAvailable)
  const chosen = backends[first]
  if (!chosen) return 'unavailable'
  if (chosen.model.kind === 'named') return chosen.name === 'remote' ? 'available' : 'downloadable'
  const address = chosen.model.kind === 'source' ? chosen.model.source : model
  if (typeof address !== 'string' && !(address instanceof URL)) return 'available'
  const hubUrl = download?.hubUrl
  const url = store.locate(address, hubUrl === undefined ? {} : { hubUrl: String(hubUrl) })
  const stored = (await store.list()).find((each) => each.model === url)
  return stored?.isComplete ? 'available' : 'downloadable'
}
