import { readFileSync } from 'node:fs'
import type { JSHandle, Page } from '@playwright/test'
import type { Engine, GenerateOptions, GenerationResult, Prompt, RivuletError, TokenChunk } from 'rivulet'
import { barePageUrl } from './ports.js'

export const embeddedModel = './models/stories/'

/** Opens the bare page, which exposes the library as `window.rivulet`; with `hasClients` other clients too. */
export async function openBarePage<P extends Pick<Page, 'goto' | 'waitForFunction'>>(
  page: P,
  { hasClients = false } = {},
): Promise<P> {
  await page.goto(hasClients ? `${barePageUrl}?clients` : barePageUrl)
  await page.waitForFunction(() => 'rivulet' in window)
  return page
}

/** Registers the bare page's service worker, and waits until it controls the page. */
export function startServiceWorker(page: Pick<Page, 'evaluate'>): Promise<void> {
  return page.evaluate(async () => {
    await navigator.serviceWorker.register('./service-worker.js', { type: 'module' })
    if (navigator.serviceWorker.controller) return
    await new Promise((resolve) => (navigator.serviceWorker.oncontrollerchange = resolve))
  })
}

export type Device = 'webgpu' | 'wasm'

/** Loads an engine in the page. */
export function loadEngine(
  page: Pick<Page, 'evaluateHandle'>,
  device: Device,
  model = embeddedModel,
): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ device, model }) => {
      const { createEngine, onnx } = window.rivulet
      return createEngine({ backend: onnx({ device }), model })
    },
    { device, model },
  )
}

export interface Streamed {
  readonly chunks: readonly string[]
  readonly tokenIds: readonly number[]
  readonly result: GenerationResult
}

/** Streams an answer to its end. */
export function streamAnswer(
  engine: JSHandle<Engine>,
  prompt: Prompt,
  options: Omit<GenerateOptions, 'signal'> = {},
): Promise<Streamed> {
  return engine.evaluate(
    async (engine, { prompt, options }) => {
      const stream = engine.generate(prompt, options)
      const chunks: TokenChunk[] = []
      for await (const chunk of stream) chunks.push(chunk)
      return {
        chunks: chunks.map((chunk) => chunk.text),
        tokenIds: chunks.flatMap((chunk) => chunk.tokenIds),
        result: await stream.result,
      }
    },
    { prompt, options },
  )
}

/** The part of an error that can leave the page. */
export type SeenError = Pick<RivuletError, 'name' | 'code' | 'message' | 'text'>

/** @returns the error that loading the model ends with */
export function loadBrokenModel(
  page: Page,
  model: string,
  device: Device = 'wasm',
): Promise<SeenError | undefined> {
  return page.evaluate(
    async ({ device, model }) => {
      const { createEngine, onnx } = window.rivulet
      try {
        await createEngine({ backend: onnx({ device }), model })
        return undefined
      } catch (error) {
        const { name, code, message, text } = error as SeenError
        return { name, code, message, text }
      }
    },
    { device, model },
  )
}

interface StoryReference {
  readonly prompt: string
  readonly promptTokens: number
  readonly greedyIds: readonly number[]
}

/**
 * Reads greedy token ids of the embedded model's f32 weights, computed with PyTorch. They end where the 8-bit
 * export differs (e2e/models/verify_stories.py checks how far they agree).
 */
export function readStoryReferences(): readonly StoryReference[] {
  return JSON.parse(readFileSync(new URL('./models/stories-reference.json', import.meta.url), 'utf8'))
}
