import type { BrowserContext, Frame } from '@playwright/test'
import { deserializeError } from '../contract/error-transfer.js'
import type { ModelInfo } from '../contract/worker-api.js'
import type { EngineObservation, GenerationObservation, Observer } from '../observer.js'
import { recordStream, type ObservedStream, type StreamRecord } from './observed-stream.js'

/** How loading a model went. */
type ObservedLoad =
  | { readonly kind: 'loaded'; readonly info: ModelInfo }
  | { readonly kind: 'failed'; readonly error: Error }

/** What the pages of a browser context do with their engines. */
export interface ContextObserver {
  /** The last one, of a document that is still there. */
  readonly load: ObservedLoad | undefined
  /** Stands for the next stream that a page begins. */
  nextStream(): ObservedStream
}

type Told = EngineObservation | GenerationObservation | { readonly kind: 'document-opened' }

const bindingName = 'rivuletObserve'

/** Sees to it that all documents that the context opens from now on tell of their engines. */
export async function observeContext(context: BrowserContext): Promise<ContextObserver> {
  const loads = new Map<Frame, ObservedLoad>()
  const expected: StreamRecord[] = []
  const running = new Map<number, StreamRecord>()

  function note(frame: Frame, told: Told): void {
    if ('generation' in told) {
      const { generation } = told
      const begun = told.kind === 'generation-started' ? expected.shift() : undefined
      if (begun) running.set(generation, begun)
      running.get(generation)?.note(told)
      return
    }
    // The newest comes last.
    loads.delete(frame)
    if (told.kind === 'engine-loaded') loads.set(frame, { kind: 'loaded', info: told.info })
    if (told.kind === 'engine-failed') {
      loads.set(frame, { kind: 'failed', error: deserializeError(told.error) })
    }
  }

  await context.exposeBinding(bindingName, ({ frame }, told: Told) => note(frame, told))
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

/** Runs in the page before its own scripts, and alone: nothing of this module is there. */
function installObserver(binding: string): void {
  // Put there by Playwright.
  const send = (globalThis as unknown as Record<string, (told: Told) => Promise<void>>)[binding]!
  const tell = (told: Told) => {
    // Rejects when the test is over.
    send(told).catch(() => {})
  }
  const key = Symbol.for('rivulet.observer')
  Object.assign(globalThis, { [key]: tell satisfies Observer })
  tell({ kind: 'document-opened' })
}
