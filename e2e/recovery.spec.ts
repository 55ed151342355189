import { expect, test, type Browser, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions } from 'rivulet'
import { embeddedModel, openBarePage, type Device } from './bare-page.js'
import type { WorkerFault } from './page/faulty.worker.js'
import { scaleCount } from './soak.js'

const question = 'Tell me a story about a dragon.'
const maxTokens = 24

type Fault = WorkerFault | 'terminate' | 'crash the GPU process'

interface Disturbed {
  readonly text: string
  readonly chunks: readonly string[]
  readonly recoveries: number
}

/** Loads an engine whose worker the test can break. */
function loadFaultyEngine(page: Page, device: Device): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ device, model }) => {
      const { createEngine, onnx } = window.rivulet
      return createEngine({ backend: onnx({ device, worker: window.createFaultyWorker }), model })
    },
    { device, model: embeddedModel },
  )
}

/** Streams an answer and injects the fault when the reader has `at` tokens. */
async function streamDisturbed(
  engine: JSHandle<Engine>,
  { fault, at, options }: { fault: Fault | undefined; at: number; options: GenerateOptions },
): Promise<Disturbed> {
  return engine.evaluate(
    async (engine, { question, fault, at, options }) => {
      const injectFault = async () => {
        if (fault === 'crash the GPU process') await window.crashGpuProcess()
        else if (fault) window.breakWorker(fault)
      }
      const stream = engine.generate(question, options)
      const chunks: string[] = []
      if (at === 0) await injectFault()
      for await (const { text } of stream) {
        chunks.push(text)
        if (chunks.length === at) await injectFault()
      }
      const { text, recoveries } = await stream.result
      return { text, chunks, recoveries }
    },
    { question, fault, at, options },
  )
}

declare global {
  interface Window {
    crashGpuProcess(): Promise<void>
  }
}

async function exposeCrash(browser: Browser, page: Page): Promise<void> {
  const session = await browser.newBrowserCDPSession()
  await page.exposeFunction('crashGpuProcess', () => session.send('Browser.crashGpuProcess').catch(() => {}))
}

const greedy: GenerateOptions = { temperature: 0, maxTokens }
const sampled: GenerateOptions = { temperature: 0.9, topK: 40, repetitionPenalty: 1.2, seed: 11, maxTokens }

test.describe('a worker that dies', () => {
  let page: Page
  let engine: JSHandle<Engine>
  let undisturbed: Record<'greedy' | 'sampled', Disturbed>
  const longer = { maxTokens: 64 }

  test.beforeAll(async ({ browser }) => {
    page = await openBarePage(await browser.newPage())
    engine = await loadFaultyEngine(page, 'wasm')
    const stream = (options: GenerateOptions) =>
      streamDisturbed(engine, { fault: undefined, at: -1, options: { ...options, ...longer } })
    undisturbed = { greedy: await stream(greedy), sampled: await stream(sampled) }
    expect(undisturbed.greedy.text).not.toBe(undisturbed.sampled.text)
  })

  test.afterAll(() => page.close())

  const faults: Fault[] = ['terminate', 'end in silence', 'throw']
  // Not the last tokens, and a longer answer than that of the lost GPU: a worker on WASM can generate a dozen tokens before it
  // handles the order to end.
  const points = [1, 12, 0, 7, 19, 2, 18, 4, 15, 9, 14, 3, 6, 20, 11, 5, 16, 8, 13, 10]
  for (const [index, at] of points.slice(0, scaleCount(3, points.length)).entries()) {
    const fault = faults[index % faults.length]!
    test(`continues with the same text: ${fault} at token ${at}`, async () => {
      const seen = await streamDisturbed(engine, { fault, at, options: { ...greedy, ...longer } })
      expect(seen).toEqual({ ...undisturbed.greedy, recoveries: 1 })
      const sampledSeen = await streamDisturbed(engine, { fault, at, options: { ...sampled, ...longer } })
      expect(sampledSeen).toEqual({ ...undisturbed.sampled, recoveries: 1 })
    })
  }

  test('keeps the order of the waiting requests', async () => {
    const seen = await engine.evaluate(async (engine) => {
      const ends: number[] = []
      const streams = Array.from({ length: 6 }, (_, index) =>
        engine.generate(`Tell me about ${index} cats.`, { temperature: 0, maxTokens: 6 }),
      )
      const results = streams.map(async (stream, index) => {
        const text = await stream.text()
        ends.push(index)
        return { text, recoveries: (await stream.result).recoveries }
      })
      setTimeout(() => window.breakWorker('terminate'), 30)
      const disturbed = await Promise.all(results)
      const undisturbed: string[] = []
      for (let index = 0; index < 6; index += 1) {
        const stream = engine.generate(`Tell me about ${index} cats.`, { temperature: 0, maxTokens: 6 })
        undisturbed.push(await stream.text())
      }
      return { ends, disturbed, undisturbed }
    })
    expect(seen.disturbed.map(({ text }) => text)).toEqual(seen.undisturbed)
    expect(seen.disturbed.at(-1)?.recoveries).toBe(1)
    expect(seen.ends).toEqual([0, 1, 2, 3, 4, 5])
  })

  test('answers the next request if it died while idle', async () => {
    const text = await engine.evaluate(async (engine, question) => {
      window.breakWorker('terminate')
      await new Promise((resolve) => setTimeout(resolve, 100))
      return engine.generate(question, { temperature: 0, maxTokens: 5 }).text()
    }, question)
    expect(text).toBe('Once upon a time,')
  })
})

test('a worker in an endless loop is noticed and replaced, and the answer continues', async ({ page }) => {
  await openBarePage(page)
  const seen = await page.evaluate(
    async ({ model, question }) => {
      const { createEngine, onnx } = window.rivulet
      const reasons: string[] = []
      const engine = await createEngine({
        backend: onnx({ device: 'wasm', worker: window.createFaultyWorker }),
        model,
        // The prompt adds its part.
        silenceTimeoutMs: 1000,
        onRecovery: ({ code, message }) => reasons.push(`${code}: ${message}`),
      })
      const options = { temperature: 0, maxTokens: 64 }
      const undisturbed = await engine.generate(question, options).text()
      const stream = engine.generate(question, options)
      let text = ''
      for await (const chunk of stream) {
        text += chunk.text
        if (chunk.index === 4) window.breakWorker('loop for ever')
      }
      const { recoveries } = await stream.result
      await engine.dispose()
      return { isSame: text === undisturbed, recoveries, reasons }
    },
    { model: embeddedModel, question },
  )
  const reasons = [expect.stringMatching(/^worker-failed: The worker made no progress/)]
  expect(seen).toEqual({ isSame: true, recoveries: 1, reasons })
})

test('a worker that hangs while it loads the model is replaced', { tag: '@soak' }, async ({ page }) => {
  await openBarePage(page)
  const seen = await page.evaluate(
    async ({ model, question }) => {
      const { createEngine, onnx } = window.rivulet
      const reasons: string[] = []
      let isBroken = false
      const engine = await createEngine({
        backend: onnx({ device: 'wasm', worker: window.createFaultyWorker }),
        model,
        // The size of the files adds its part.
        silenceTimeoutMs: 1000,
        onProgress() {
          if (!isBroken) window.breakWorker('loop for ever')
          isBroken = true
        },
        onRecovery: ({ code, message }) => reasons.push(`${code}: ${message}`),
      })
      const text = await engine.generate(question, { temperature: 0, maxTokens: 5 }).text()
      await engine.dispose()
      return { text, reasons }
    },
    { model: embeddedModel, question },
  )
  const reasons = [expect.stringMatching(/^worker-failed: The worker made no progress/)]
  expect(seen).toEqual({ text: 'Once upon a time,', reasons })
})

test('cancelling while the model is reloaded ends the generation, and the next one runs', async ({
  page,
}) => {
  await openBarePage(page)
  const engine = await loadFaultyEngine(page, 'wasm')
  const seen = await engine.evaluate(async (engine, question) => {
    const stream = engine.generate(question, { temperature: 0 })
    let chunks = 0
    for await (const _ of stream) {
      chunks += 1
      if (chunks !== 2) continue
      window.breakWorker('end in silence')
      setTimeout(() => void stream.cancel(), 150)
    }
    const { finishReason, recoveries, text } = await stream.result
    const next = await engine.generate(question, { temperature: 0, maxTokens: 5 }).text()
    return { finishReason, recoveries, text, next }
  }, question)
  expect(seen).toMatchObject({ finishReason: 'cancelled', recoveries: 1, next: 'Once upon a time,' })
  expect(seen.text).toMatch(/^Once upon/)
})

test(
  'with recover: false the stream ends within a second, with its text and the reason',
  { tag: '@alone' },
  async ({ page }) => {
    await openBarePage(page)
    for (const fault of ['terminate', 'end in silence', 'throw'] satisfies Fault[]) {
      const seen = await page.evaluate(
        async ({ model, fault }) => {
          const { createEngine, onnx } = window.rivulet
          const backend = onnx({ device: 'wasm', worker: window.createFaultyWorker })
          const engine = await createEngine({ backend, model, recover: false })
          const stream = engine.generate('Tell me a story about a dragon.', { temperature: 0 })
          let text = ''
          let brokenAt = 0
          try {
            for await (const chunk of stream) {
              text += chunk.text
              if (chunk.index !== 4) continue
              brokenAt = performance.now()
              window.breakWorker(fault)
            }
            return undefined
          } catch (error) {
            const { code, text: errorText } = error as { code: string; text: string }
            return { code, text, errorText, settledMs: performance.now() - brokenAt }
          }
        },
        { model: embeddedModel, fault },
      )
      expect(seen).toMatchObject({ code: 'worker-failed' })
      expect(seen!.errorText).toBe(seen!.text)
      expect(seen!.text).toMatch(/^Once upon a time,/)
      expect(seen!.settledMs).toBeLessThan(1000)
    }
  },
)

test.describe('a lost GPU', () => {
  test.setTimeout(900_000)

  test('the stream continues on a new one, and with the next backend if there is none', async ({
    browser,
    page,
  }) => {
    await openBarePage(page)
    await exposeCrash(browser, page)
    const seen = await page.evaluate(
      async ({ model, question }) => {
        const { createEngine, onnx } = window.rivulet
        const reasons: string[] = []
        const engine = await createEngine({
          backend: [onnx({ device: 'webgpu', worker: window.createFaultyWorker }), onnx({ device: 'wasm' })],
          model,
          onRecovery: ({ code }) => reasons.push(code),
        })
        const devices: string[] = [engine.info.device]
        const options = { temperature: 0, maxTokens: 10 }
        const undisturbed = await engine.generate(question, options).text()
        const runWithFault = async (injectFault: () => unknown) => {
          const stream = engine.generate(question, options)
          for await (const { index } of stream) if (index === 3) await injectFault()
          devices.push(engine.info.device)
          const { text, recoveries } = await stream.result
          return { text, recoveries }
        }
        const results = [
          await runWithFault(() => window.crashGpuProcess()),
          await runWithFault(() => {
            // An injected fault: the browser has no adapter any more.
            navigator.gpu.requestAdapter = () => Promise.resolve(null)
            window.breakWorker('lose the device')
          }),
        ]
        await engine.dispose()
        return { undisturbed, results, devices, reasons }
      },
      { model: embeddedModel, question },
    )
    const expected = { text: seen.undisturbed, recoveries: 1 }
    expect(seen.results).toEqual([expected, expected])
    expect(seen.devices).toEqual(['webgpu', 'webgpu', 'wasm'])
    expect(seen.reasons).toEqual(['device-lost', 'device-lost'])
  })

  test('the stream continues at any token', { tag: '@soak' }, async ({ browser, page }) => {
    await openBarePage(page)
    await exposeCrash(browser, page)
    const engine = await loadFaultyEngine(page, 'webgpu')
    const options = { ...greedy, maxTokens: 15 }
    const undisturbed = await streamDisturbed(engine, { fault: undefined, at: -1, options })
    const points = [3, 7, 0, 11, 1, 5, 9, 2, 6, 10, 4, 8, 3, 7, 1, 11, 5, 9, 2, 6]
    const faults: Fault[] = ['lose the device', 'crash the GPU process']
    for (const [index, at] of points.entries()) {
      const fault = faults[index % faults.length]!
      const seen = await streamDisturbed(engine, { fault, at, options })
      expect(seen, `${fault} at token ${at}`).toEqual({ ...undisturbed, recoveries: 1 })
    }
    expect(await engine.evaluate((engine) => engine.info)).toMatchObject({ device: 'webgpu' })
  })
})
