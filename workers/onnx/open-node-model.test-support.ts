import { resolve } from 'node:path'
import * as runtime from 'onnxruntime-web/wasm'
import type { OnnxDtype, OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import type { GenerateRequest, RequestOptions, Resume } from '../../lib/contract/request.js'
import type { AnswerEnd, ToolCall } from '../../lib/contract/worker-api.js'
import { joinSteps, type AnswerStep } from '../text/channels/answer-reader.js'
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
  /** Continues a raw text. */
  answer(text: string, options: Partial<RequestOptions>, resumedIds?: readonly number[]): Promise<NodeAnswer>
  /** Runs a request, up to `maxChunks` chunks. */
  run(request: GenerateRequest, maxChunks?: number): Promise<NodeAnswer>
}

interface NodeAnswer {
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
  options: Pick<OnnxLoadOptions, 'chatTemplate'> = {},
  dtypes: readonly OnnxDtype[] = ['q8'],
): Promise<NodeModel> {
  runtime.env.wasm.numThreads = 1
  const folder = openDiskFolder(resolve(path))
  const config = await readModelConfig(folder, options)
  const { contextLength, cacheSizes, tokenizer, endIds } = config
  const weights = await readModelWeights(folder, { dtypes, unsupported: [] }, () => {})
  const decoder = await openDecoder(runtime, 'wasm', weights, {
    contextLength,
    cacheSizes,
    conversationCacheBytes: 2 ** 20,
    onSession: () => {},
  })
  const load = async (vocabulary: Parameters<typeof createXgrammarEngine>[1]) =>
    createXgrammarEngine(await loadXgrammar(), vocabulary)
  const compiler = createFormCompiler(load, tokenizer, endIds)
  async function run(request: GenerateRequest, maxChunks = Infinity): Promise<NodeAnswer> {
    const { signal } = new AbortController()
    const steps = generateTokens(decoder, config, request, { signal, queueMs: 0 }, compiler)
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
  }

  return {
    config,
    compiler,
    decoder,
    run,
    answer(text, requestOptions, resumedIds = []) {
      const generated = {
        text: tokenizer.decode(resumedIds),
        tokens: resumedIds.length,
        tokenIds: resumedIds,
      }
      return run({
        input: { kind: 'text', text } as const,
        resume: { handedOver: { text: '', tokens: 0 }, generated },
        options: { stop: [], ...requestOptions },
      })
    },
  }
}

/** Adds the steps of a run to what an earlier run of the same answer generated. */
function addAnswer(
  earlier: Resume['generated'] = { text: '', tokens: 0, tokenIds: [] },
  step: AnswerStep,
  newIds: readonly number[],
  end: AnswerEnd | undefined,
): NodeAnswer {
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
