import { resolve } from 'node:path'
import * as runtime from 'onnxruntime-web/wasm'
import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'
import { createFormCompiler, type FormCompiler } from '../text/grammar/form-compiler.js'
import { loadXgrammar } from '../text/grammar/load-xgrammar.test-support.js'
import { createXgrammarEngine } from '../text/grammar/xgrammar-engine.js'
import type { Decoder } from './decoder.js'
import { openDiskFolder } from './disk-folder.test-support.js'
import { generateTokens } from './generate.js'
import { readModelConfig, type ModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import { openDecoder } from './open-decoder.js'

/** A model that runs in Node on WASM, with the grammar engine. */
export interface NodeModel {
  readonly config: ModelConfig
  readonly compiler: FormCompiler
  readonly decoder: Decoder
  /** Answers any request. */
  generate(request: GenerateRequest): AsyncGenerator<GenerationStep, AnswerEnd, undefined>
  answer(text: string, options: Partial<RequestOptions>, resumedIds?: readonly number[]): Promise<NodeAnswer>
}

interface NodeAnswer {
  readonly text: string
  readonly ids: readonly number[]
  readonly end: AnswerEnd
}

/** @param path a folder in the layout of Hugging Face ONNX models, with the weights `q8` */
export async function openNodeModel(path: string, chatTemplate?: string): Promise<NodeModel> {
  runtime.env.wasm.numThreads = 1
  const folder = openDiskFolder(resolve(path))
  const config = await readModelConfig(folder, { chatTemplate })
  const { contextLength, cacheSizes, tokenizer, endIds } = config
  const weights = await readModelWeights(folder, { dtypes: ['q8'], unsupported: [] }, () => {})
  const decoder = await openDecoder(runtime, 'wasm', weights, {
    contextLength,
    cacheSizes,
    conversationCacheBytes: 2 ** 20,
    onSession: () => {},
  })
  const load = async (vocabulary: Parameters<typeof createXgrammarEngine>[1]) =>
    createXgrammarEngine(await loadXgrammar(), vocabulary)
  const compiler = createFormCompiler(load, tokenizer, endIds)
  const model: NodeModel = {
    config,
    compiler,
    decoder,
    generate(request) {
      const { signal } = new AbortController()
      return generateTokens(decoder, config, request, { signal, queueMs: 0 }, compiler)
    },
    async answer(text, options, resumedIds = []) {
      const generated = {
        text: tokenizer.decode(resumedIds),
        tokens: resumedIds.length,
        tokenIds: resumedIds,
      }
      const request = {
        input: { kind: 'text', text } as const,
        resume: { handedOver: { text: '', tokens: 0 }, generated },
        options: { stop: [], ...options },
      }
      const steps = model.generate(request)
      let answer = generated.text
      const ids = [...resumedIds]
      let step = await steps.next()
      for (; !step.done; step = await steps.next()) {
        if (step.value.kind !== 'chunk') continue
        answer += step.value.text
        ids.push(...step.value.tokenIds)
      }
      return { text: answer, ids, end: step.value }
    },
  }
  return model
}
