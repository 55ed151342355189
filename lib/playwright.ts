// Runs in Node, in Playwright's test runner: nothing of a page imports this.
import { expect as baseExpect, test as baseTest, type BrowserContext } from '@playwright/test'
import { refuseUnknown } from './contract/check-options.js'
import type { ModelInfo } from './contract/worker-api.js'
import { checkMilliseconds } from './playwright/check-milliseconds.js'
import { observeContext, type ContextObserver } from './playwright/observe-context.js'
import type { ObservedStream } from './playwright/observed-stream.js'
import { serveStories } from './playwright/serve-stories.js'
import { toHaveStreamed } from './playwright/to-have-streamed.js'
import { waitUntil } from './playwright/wait-until.js'

export { webGpuLaunchOptions } from './playwright/launch-options.js'
export type { WebGpuLaunchOptions, WebGpuOptions } from './playwright/launch-options.js'
export type { ObservedChunk, ObservedState, ObservedStream } from './playwright/observed-stream.js'
export type { ToHaveStreamedOptions } from './playwright/to-have-streamed.js'

/** The engines of a browser context's pages, frames included, from their next navigation on. */
export interface Rivulet {
  /**
   * Has the embedded model (2.8 M parameters, trained on TinyStories, 8-bit weights) answer for the one that the page asks
   * for, without the network: as an ONNX folder, and as a GGUF file for whatever `.gguf`. Call it before the page loads its
   * engine. It is a model for `onnx()` and `llamaCpp()`: `webLlm()` and `remote()` have nothing of it.
   * @param model as the page gives it to `createEngine`, where a relative URL goes by Playwright's `baseURL`; without it,
   *   every model of every hub
   * @throws RivuletError `invalid-option`
   */
  serveStories(model?: string | URL): Promise<void>
  /**
   * Waits until a page has loaded an engine; returns at once where one has.
   * @param options.timeout in milliseconds. Default: 30000
   * @returns what runs: backend, model, device
   * @throws RivuletError what loading failed with, or `invalid-option`; `Error` where nothing was loaded in time
   */
  waitForEngine(options?: { readonly timeout?: number | undefined }): Promise<ModelInfo>
  /** Stands for the next stream that a page begins: ask for it before the click that begins it. */
  nextStream(): ObservedStream
}

/** Playwright's `test`, with the fixture `rivulet` for the pages of the test's `context`. */
export const test = baseTest.extend<{ rivulet: Rivulet }>({
  // For every test: a hook that opens the page may not ask for it.
  rivulet: [
    async ({ context, baseURL }, use) => {
      await use(await observeEngines(context, { baseURL }))
    },
    { auto: true },
  ],
})

/** Playwright's `expect`, with `toHaveStreamed`. */
export const expect = baseExpect.extend({ toHaveStreamed })

/** What the fixture does, for a browser context of one's own. */
export async function observeEngines(
  context: BrowserContext,
  options: { readonly baseURL?: string | undefined } = {},
): Promise<Rivulet> {
  refuseUnknown('observeEngines()', options, ['baseURL'])
  const observer = await observeContext(context)
  return {
    serveStories: (model) => serveStories(context, model, options.baseURL),
    waitForEngine: (waiting = {}) => waitForEngine(observer, waiting),
    nextStream: observer.nextStream,
  }
}

async function waitForEngine(
  observer: ContextObserver,
  options: { readonly timeout?: number | undefined },
): Promise<ModelInfo> {
  refuseUnknown('waitForEngine()', options, ['timeout'])
  const { timeout = 30_000 } = options
  checkMilliseconds('timeout', timeout)
  const load = await waitUntil(() => observer.load, timeout)
  if (load === undefined) throw new Error(`No page loaded an engine of rivulet within ${timeout} ms.`)
  if (load.kind === 'failed') throw load.error
  return load.info
}
