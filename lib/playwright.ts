// Runs in Node, in Playwright's test runner. No page imports this.
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
export type {
  ExpectedStream,
  ExpectedToolCall,
  ToHaveStreamedOptions,
} from './playwright/to-have-streamed.js'

/** Observes the engines in all pages and frames of a browser context, from their next navigation on. */
export interface Rivulet {
  /**
   * Serves the embedded model (3.4 M parameters, trained on TinyStories, 8-bit weights) in place of the model that the page
   * requests, without the network: as an ONNX folder, and as a GGUF file for any request of a `.gguf` file. Call
   * `serveStories` before the page loads its engine. The embedded model works with `onnx()` and `llamaCpp()`, not with
   * `webLlm()` and `remote()`.
   * @param model the model that the page passes to `createEngine`. A relative URL is resolved against Playwright's
   *   `baseURL`. Default: every model of every hub
   * @throws RivuletError `invalid-option`
   */
  serveStories(model?: string | URL): Promise<void>
  /**
   * Waits until a page has loaded an engine. Returns at once if an engine is already loaded.
   * @param options.timeout in milliseconds. Default: 30000
   * @returns the engine's `info`, with the backend, the model and the device
   * @throws the `RivuletError` with which loading failed; `RivuletError` `invalid-option`; `Error` if no engine was loaded
   *   in time
   */
  waitForEngine(options?: { readonly timeout?: number | undefined }): Promise<ModelInfo>
  /** Returns the next stream that a page starts. Call this before the click that starts the stream. */
  nextStream(): ObservedStream
}

/** Playwright's `test` with the fixture `rivulet`, which observes the pages of the test's `context`. */
export const test = baseTest.extend<{ rivulet: Rivulet }>({
  // The fixture is automatic: it observes before a hook opens the page, even if the hook does not use the fixture.
  rivulet: [
    async ({ context, baseURL }, use) => {
      await use(await observeEngines(context, { baseURL }))
    },
    { auto: true },
  ],
})

/** Playwright's `expect` with the matcher `toHaveStreamed`. */
export const expect = baseExpect.extend({ toHaveStreamed })

/** Observes the engines in a browser context that you created yourself, as the fixture `rivulet` does. */
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
  if (load === undefined)
    throw new Error(
      `No page loaded a rivulet engine within ${timeout} ms. Call waitForEngine() after the page starts to load one, or raise "timeout".`,
    )
  if (load.kind === 'failed') throw load.error
  return load.info
}
