import type { BrowserContext, Frame } from '@playwright/test'
import { deserializeError } from '../contract/error-transfer.js'
import type { ModelInfo } from '../contract/worker-api.js'
import type { EngineObservation, GenerationObservation, Observer } from '../observer.js'
import { recordStream, type ObservedStream, type StreamRecord } from './observed-stream.js'

/** The outcome of loading a model. */
type ObservedLoad =
  | { readonly kind: 'loaded'; readonly info: ModelInfo }
  | { readonly kind: 'failed'; readonly error: Error }

/** Observes the engines in the pages of a browser context. */
export interface ContextObserver {
  /** The last load in a document that is still open. */
  readonly load: ObservedLoad | undefined
  /** Returns the next stream that a page starts. */
  nextStream(): ObservedStream
}

type ContextObservation = EngineObservation | GenerationObservation | { readonly kind: 'document-opened' }

const bindingName = 'rivuletObserve'

/** Installs an observer in every document that the context opens from now on. */
export async function observeContext(context: BrowserContext): Promise<ContextObserver> {
  const loads = new Map<Frame, ObservedLoad>()
  const expected: StreamRecord[] = []
  const running = new Map<number, StreamRecord>()

  function note(frame: Frame, observation: ContextObservation): void {
    if ('generation' in observation) {
      const { generation } = observation
      const record = observation.kind === 'generation-started' ? expected.shift() : undefined
      if (record) running.set(generation, record)
      running.get(generation)?.note(observation)
      return
    }
    // Deleted first, so that the newest load is the map's last entry.
    loads.delete(frame)
    if (observation.kind === 'engine-loaded') loads.set(frame, { kind: 'loaded', info: observation.info })
    if (observation.kind === 'engine-failed') {
      loads.set(frame, { kind: 'failed', error: deserializeError(observation.error) })
    }
  }

  await context.exposeBinding(bindingName, ({ frame }, observation: ContextObservation) =>
    note(frame, observation),
  )
  await context.addInitScript(installObserver, bindingName)
  return {
    get load() {
      return [...loads].findLast(([frame]) => !frame.isDetached() && !frame.page().isClosed())?.[1]
    },
    nextStream() {
      const record = recordStream()
      expected.push(record)
      return record.stream
    },
  }
}

/** Runs in the page before the page's scripts. It is sent as source text, so it cannot use anything of this module. */
function installObserver(binding: string): void {
  // Playwright put this binding there.
  const send = (globalThis as unknown as Record<string, (observation: ContextObservation) => Promise<void>>)[
    binding
  ]!
  const report = (observation: ContextObservation) => {
    // Rejects after the end of the test.
    send(observation).catch(() => {})
  }
  const key = Symbol.for('rivulet.observer')
  Object.assign(globalThis, { [key]: report satisfies Observer })
  report({ kind: 'document-opened' })
}
