import type { BrowserContext, Frame } from '@playwright/test'
import { deserializeError, type SerializedError } from '../contract/error-transfer.js'
import type { RivuletError } from '../contract/errors.js'
import type { ModelInfo } from '../contract/worker-api.js'
import type { GenerationResult } from '../generation.js'
import type { EngineObserver } from '../observer.js'
import {
  recordStream,
  type ObservedChunk,
  type ObservedStream,
  type StreamRecord,
} from './observed-stream.js'

/** The outcome of loading a model. */
type ObservedLoad =
  | { readonly kind: 'loaded'; readonly info: ModelInfo }
  | { readonly kind: 'failed'; readonly error: Error }

/** Observes the engines in the pages of a browser context. */
export interface ContextObserver {
  /** The outcome of the newest load in a document that is still open; undefined if there is none. */
  readonly load: ObservedLoad | undefined
  /** Returns the next stream that a page starts. */
  nextStream(): ObservedStream
}

/** A report from a page about one stream, as plain data. It does not contain the prompt. */
export type StreamReport = { readonly generation: number } & (
  | { readonly kind: 'generation-started' }
  | ({ readonly kind: 'chunk' } & ObservedChunk)
  | { readonly kind: 'generation-ended'; readonly result: GenerationResult }
  | { readonly kind: 'generation-failed'; readonly error: SerializedError }
)

type Report =
  | StreamReport
  | { readonly kind: 'document-opened' }
  | { readonly kind: 'engine-loaded'; readonly info: ModelInfo }
  | { readonly kind: 'engine-failed'; readonly error: SerializedError }

const bindingName = 'rivuletObserve'

/** Installs an observer in every document that the context opens from now on. */
export async function observeContext(context: BrowserContext): Promise<ContextObserver> {
  const loads = new Map<Frame, ObservedLoad>()
  const expected: StreamRecord[] = []
  const running = new Map<number, StreamRecord>()

  function note(frame: Frame, report: Report): void {
    if ('generation' in report) {
      const { generation } = report
      const record = report.kind === 'generation-started' ? expected.shift() : undefined
      if (record) running.set(generation, record)
      running.get(generation)?.note(report)
      return
    }
    // Deleting the old entry moves the new entry to the end of the map.
    loads.delete(frame)
    if (report.kind === 'engine-loaded') loads.set(frame, { kind: 'loaded', info: report.info })
    if (report.kind === 'engine-failed') {
      loads.set(frame, { kind: 'failed', error: deserializeError(report.error) })
    }
  }

  await context.exposeBinding(bindingName, ({ frame }, report: Report) => note(frame, report))
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

/**
 * Installs the observer. Runs in the page before the page's own scripts. Playwright sends this function as text, so it
 * cannot use other values of this module.
 */
function installObserver(binding: string): void {
  // Playwright has added the binding to `globalThis`.
  const send = (globalThis as unknown as Record<string, (report: Report) => Promise<void>>)[binding]!
  const post = (report: Report) => {
    // The call rejects after the test has ended.
    send(report).catch(() => {})
  }
  /** Works like `serializeThrown` of lib/contract/error-transfer.ts. */
  const serialize = ({
    name,
    message,
    stack,
    code,
    text,
    details,
    cause,
  }: RivuletError): SerializedError => ({
    kind: 'error',
    name,
    message,
    stack,
    code,
    text,
    details,
    cause: cause instanceof Error ? serialize(cause as RivuletError) : undefined,
  })
  function toJson(value: unknown): { readonly value?: unknown } {
    try {
      const text = JSON.stringify(value) as string | undefined
      return text === undefined ? {} : { value: JSON.parse(text) }
    } catch {
      return {}
    }
  }
  const observer: EngineObserver = {
    onLoad: (info) => post({ kind: 'engine-loaded', info }),
    onLoadError: (error) => post({ kind: 'engine-failed', error: serialize(error) }),
    onStart: ({ generation }) => post({ kind: 'generation-started', generation }),
    onChunk({ generation, chunk: { text, reasoning, toolCalls, tokenCount }, arrivedMs }) {
      const channels = { ...(reasoning && { reasoning }), ...(toolCalls && { toolCalls }) }
      post({ kind: 'chunk', generation, text, ...channels, tokenCount, arrivedMs })
    },
    onEnd({ generation, outcome }) {
      if (outcome.kind === 'failed') {
        return post({ kind: 'generation-failed', generation, error: serialize(outcome.error) })
      }
      // The cancel reason, and the output of a schema, can be any value, even one that cannot be posted.
      const { cancelReason: _, value, ...result } = outcome.result
      post({ kind: 'generation-ended', generation, result: { ...result, ...toJson(value) } })
    },
  }
  Object.assign(globalThis, { [Symbol.for('rivulet.observer')]: observer })
  post({ kind: 'document-opened' })
}
