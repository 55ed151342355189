// A JSON answer and a tool call continue after a loss in their middle. `npm run soak` loses each of them twenty times.
import { expect, test, type Browser, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions } from 'rivulet'
import { embeddedModel, openBarePage, type Device } from './bare-page.js'
import { hermesTemplate } from './hermes-template.js'
import { scaleCount } from './soak.js'

const question = 'Tell me a story about a dragon.'
const jsonSchema = {
  type: 'object',
  properties: {
    title: { type: 'string', maxLength: 8 },
    animals: { type: 'array', items: { enum: ['cat', 'dog', 'dragon'] }, minItems: 2, maxItems: 2 },
    pages: { type: 'integer', minimum: 1, maximum: 99 },
  },
  required: ['title', 'animals', 'pages'],
  additionalProperties: false,
} as const

const greedy = { temperature: 0, maxTokens: 200 } as const
const demands: Readonly<Record<string, GenerateOptions>> = {
  'a JSON answer': { ...greedy, responseFormat: { jsonSchema } },
  'a tool call': {
    ...greedy,
    tools: [{ name: 'tell', parameters: jsonSchema }],
    toolChoice: 'required',
    parallelToolCalls: false,
  },
}

const faults = {
  wasm: ['terminate', 'end in silence', 'throw'],
  webgpu: ['lose the device', 'crash the GPU process'],
} as const
type Fault = (typeof faults)[Device][number]

interface Seen {
  readonly chunks: number
  readonly recoveries: number
  readonly finishReason: string
  /** The text and the calls of the answer. */
  readonly answer: readonly unknown[]
  /** The value of the answer, or the arguments of its call. */
  readonly value: unknown
}

/** Streams an answer, and injects the fault when the reader has the chunk `at`. */
function stream(engine: JSHandle<Engine>, options: GenerateOptions, fault?: Fault, at = 0): Promise<Seen> {
  return engine.evaluate(
    async (engine, { question, options, fault, at }) => {
      const stream = engine.generate([{ role: 'user', content: question }], options)
      let chunks = 0
      for await (const { index } of stream) {
        chunks += 1
        if (index !== at || fault === undefined) continue
        if (fault === 'crash the GPU process') await window.crashGpuProcess()
        else window.breakWorker(fault)
        // A fault needs a moment to reach the worker. Without a reader, the worker does not end the answer before.
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      const { text, toolCalls, value, recoveries, finishReason } = await stream.result
      const calls = toolCalls.map((call) => [call.name, call.arguments] as const)
      const [[, args] = []] = calls
      const parsed = args === undefined ? value : (JSON.parse(args) as unknown)
      return { chunks, recoveries, finishReason, answer: [text, ...calls], value: parsed }
    },
    { question, options, fault, at },
  )
}

async function open(browser: Browser, page: Page, device: Device): Promise<JSHandle<Engine>> {
  await openBarePage(page)
  const session = await browser.newBrowserCDPSession()
  await page.exposeFunction('crashGpuProcess', () => session.send('Browser.crashGpuProcess').catch(() => {}))
  return page.evaluateHandle(
    ({ device, model, chatTemplate }) => {
      const { createEngine, onnx } = window.rivulet
      return createEngine({
        backend: onnx({ device, chatTemplate, worker: window.createFaultyWorker }),
        model,
      })
    },
    { device, model: embeddedModel, chatTemplate: hermesTemplate },
  )
}

for (const device of ['wasm', 'webgpu'] as const) {
  for (const [what, options] of Object.entries(demands)) {
    // A software adapter takes half a minute for a load and a recovery.
    const tag = device === 'webgpu' ? '@soak' : []
    test(
      `${what} has the same value after a loss in its middle, on ${device}`,
      { tag },
      async ({ browser, page }) => {
        test.setTimeout(1_800_000)
        const engine = await open(browser, page, device)
        const { recoveries, ...undisturbed } = await stream(engine, options)
        expect(recoveries).toBe(0)
        expect(['stop', 'tool-calls']).toContain(undisturbed.finishReason)
        expect(undisturbed.value).toMatchObject({ animals: [expect.any(String), expect.any(String)] })
        expect(undisturbed.chunks).toBeGreaterThan(20)
        for (let count = 0; count < scaleCount(1, 20); count += 1) {
          const fault = faults[device][count % faults[device].length]!
          // Not at the last chunks: the worker is ahead of the reader, by all of a forced text, and would have ended the answer.
          const at = (9 + count * 7) % (undisturbed.chunks - 12)
          const seen = await stream(engine, options, fault, at)
          expect(seen, `${fault} at chunk ${at}`).toEqual({ ...undisturbed, recoveries: 1 })
        }
      },
    )
  }
}
