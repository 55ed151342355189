import { resolve } from 'node:path'
import * as runtime from 'onnxruntime-web/wasm'
import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep, ToolCall } from '../../lib/contract/worker-api.js'
import { joinSteps, type AnswerStep } from '../text/channels/answer-reader.js'
import { createFormCompiler, type FormCompiler } from '../text/grammar/form-compiler.js'
import { loadXgrammar } from '../text/grammar/load-xgrammar.test-support.js'
import { createXgrammarEngine } from '../text/grammar/xgrammar-engine.js'
import type { Decoder } from './decoder.js'
import { createDecoderPool } from './decoder-pool.js'
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
  /** Answers a request, or resumes its answer, up to `maxChunks` chunks. */
  run(request: GenerateRequest, maxChunks?: number): Promise<NodeRun>
  answer(text: string, options: Partial<RequestOptions>, resumedIds?: readonly number[]): Promise<NodeAnswer>
}

interface NodeAnswer {
  readonly text: string
  readonly ids: readonly number[]
  readonly end: AnswerEnd
}

/** An answer in its channels; `end` is undefined if the run was left before its end. */
interface NodeRun {
  readonly text: string
  readonly ids: readonly number[]
  readonly end: AnswerEnd | undefined
  readonly generated: Resume['generated']
}

/**
 * @param path a folder in the layout of Hugging Face ONNX models
 * @param dtypes the weights to use
 */
export async function openNodeModel(
  path: string,
  chatTemplate?: string,
  dtypes: readonly OnnxDtype[] = ['q8'],
  conversationCacheBytes = 2 ** 20,
  maxConcurrentGenerations = 1,
): Promise<NodeModel> {
  runtime.env.wasm.numThreads = 1
  const folder = openDiskFolder(resolve(path))
  const config = await readModelConfig(folder, { chatTemplate })
  const { contextLength, cacheSizes, tokenizer, endIds } = config
  const weights = await readModelWeights(folder, { dtypes, unsupported: [] }, () => {})
  const decoder = await openDecoder(runtime, 'wasm', weights, {
    contextLength,
    cacheSizes,
    conversationCacheBytes,
    maxConcurrentGenerations,
    onSession: () => {},
  })
  const load = async (vocabulary: Parameters<typeof createXgrammarEngine>[1]) =>
    createXgrammarEngine(await loadXgrammar(), vocabulary)
  const compiler = createFormCompiler(load, tokenizer, endIds)
  const decoders = createDecoderPool(decoder)
  const model: NodeModel = {
    config,
    compiler,
    decoder,
    generate(request) {
      const { signal } = new AbortController()
      return generateTokens(decoders, config, request, { signal, queueMs: 0 }, compiler)
    },
    async run(request, maxChunks = Infinity) {
      const steps = model.generate(request)
      let all: AnswerStep = { text: '', hasStopped: false }
      const ids: number[] = []
      let chunks = 0
      let step = await steps.next()
      for (; !step.done; step = await steps.next()) {
        if (step.value.kind !== 'chunk') continue
        all = joinSteps(all, { ...step.value, hasStopped: false })
        ids.push(...step.value.tokenIds)
        chunks += 1
        if (chunks === maxChunks) break
      }
      if (!step.done) await steps.return('stop')
      return addAnswer(request.resume?.generated, all, ids, step.done ? step.value : undefined)
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

/** Adds the steps of a run to what an earlier run of the same answer generated. */
function addAnswer(
  earlier: Resume['generated'] = { text: '', tokens: 0, tokenIds: [] },
  step: AnswerStep,
  newIds: readonly number[],
  end: AnswerEnd | undefined,
): NodeRun {
  const text = earlier.text + step.text
  const reasoning = (earlier.reasoning ?? '') + (step.reasoning ?? '')
  const ids = [...earlier.tokenIds, ...newIds]
  const toolCalls: { -readonly [Name in keyof ToolCall]: ToolCall[Name] }[] = structuredClone([
    ...(earlier.toolCalls ?? []),
  ])
  for (const { index, id = '', name = '', argumentsDelta } of step.toolCalls ?? []) {
    const call = (toolCalls[index] ??= { id, name, arguments: '' })
    call.arguments += argumentsDelta
  }
  const raw = (earlier.raw ?? earlier.text) + (step.raw ?? step.text)
  return {
    text,
    ids,
    end,
    generated: { text, reasoning, toolCalls, raw, tokens: ids.length, tokenIds: ids },
  }
}
