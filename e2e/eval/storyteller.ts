import { resolve } from 'node:path'
import * as runtime from 'onnxruntime-web/wasm'
import { createDecoderPool } from '../../workers/onnx/decoder-pool.js'
import { openDiskFolder } from '../../workers/onnx/disk-folder.test-support.js'
import { readModelConfig } from '../../workers/onnx/model-config.js'
import { readModelWeights } from '../../workers/onnx/model-weights.js'
import { openDecoder } from '../../workers/onnx/open-decoder.js'
import { generateTokens } from '../../workers/onnx/generate.js'
import type { RequestMessage, RequestOptions } from '../../lib/contract/request.js'

export type StorySampling = Omit<RequestOptions, 'stop'>

export interface Story {
  readonly text: string
  readonly tokens: number
  readonly promptTokens: number
  /** Whether the model ended the story with an end-of-sequence token. */
  readonly hasEndToken: boolean
}

/** Runs a story model in Node with the library's chat template, sampler and session on onnxruntime-web (WASM). */
export interface Storyteller {
  readonly contextLength: number
  generate(messages: readonly RequestMessage[], sampling: StorySampling): Promise<Story>
  release(): Promise<void>
}

/** @param path a folder in the layout of Hugging Face ONNX models */
export async function openStoryteller(path: string): Promise<Storyteller> {
  runtime.env.wasm.numThreads = 1
  const folder = openDiskFolder(resolve(path))
  const config = await readModelConfig(folder)
  const { contextLength, cacheSizes } = config
  const weights = await readModelWeights(folder, { dtypes: ['q8'], unsupported: [] }, () => {})
  const decoder = await openDecoder(runtime, 'wasm', weights, {
    contextLength,
    cacheSizes,
    conversationCacheBytes: 2 ** 20,
    onSession: () => {},
  })
  const decoders = createDecoderPool(decoder)
  return {
    contextLength,
    async generate(messages, sampling) {
      const input = { kind: 'chat', messages, assistantPrefix: '' } as const
      const { signal } = new AbortController()
      const request = { input, options: { stop: [], ...sampling } }
      const steps = generateTokens(decoders, config, request, { signal, queueMs: 0 })
      let text = ''
      let tokens = 0
      let promptTokens: number | undefined
      let step = await steps.next()
      for (; !step.done; step = await steps.next()) {
        if (step.value.kind === 'started') promptTokens = step.value.promptTokens
        else if (step.value.kind === 'chunk') {
          text += step.value.text
          tokens += step.value.tokenCount
        }
      }
      return { text, tokens, promptTokens: promptTokens ?? 0, hasEndToken: step.value === 'stop' }
    },
    release: () => decoder.release(),
  }
}
