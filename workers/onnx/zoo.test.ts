import { join } from 'node:path'
import * as runtime from 'onnxruntime-web/wasm'
import { afterAll, describe, expect, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { Decoder } from './decoder.js'
import { openDiskFolder } from './disk-folder.test-support.js'
import { readModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import { openDecoder } from './open-decoder.js'
import { greedy } from './sampler.js'
import {
  compareTokens,
  describeDifferences,
  formatColumns,
  type Difference,
  type ZooModel,
} from './zoo-answers.test-support.js'
import { hasZoo, listZoo, readAnswers, zoo } from './zoo.test-support.js'

/* The models of the zoo on WASM: a handful in `npm test`, all in `npm run soak`. */

runtime.env.wasm.numThreads = 1

/**
 * Of each exporter, and with sliding windows, mixture of experts, a rotary switch, dynamic quantization, 16-bit floats, states
 * of fixed size, norms inside attention, attention that is written out (also with a window), and models of two graphs.
 */
const handful: readonly ZooModel[] = [
  { name: 'genai/llama3.2', dtype: 'q4' },
  { name: 'genai/llama3.2', dtype: 'fp16' },
  { name: 'genai/llama3.2', dtype: 'q4f16' },
  { name: 'genai/mistral', dtype: 'q4' },
  { name: 'genai/gemma2', dtype: 'fp32' },
  { name: 'genai/gpt-oss', dtype: 'q4' },
  { name: 'genai/phi4-mini', dtype: 'q4' },
  { name: 'symbolic/llama3.2', dtype: 'q4' },
  { name: 'symbolic/qwen3', dtype: 'fp32' },
  { name: 'optimum/llama3.2', dtype: 'fp32' },
  { name: 'optimum/llama3.2', dtype: 'q8' },
  { name: 'optimum/gpt-neox', dtype: 'q4' },
  { name: 'optimum/gemma3', dtype: 'fp32' },
  { name: 'optimum/gpt2', dtype: 'fp32' },
  { name: 'optimum/bloom', dtype: 'fp32' },
  { name: 'hub/lfm2', dtype: 'fp32' },
  { name: 'hub/qwen3.5-one-file', dtype: 'fp32' },
  { name: 'hub/qwen3.5-split', dtype: 'fp32' },
  { name: 'hub/gemma3-split', dtype: 'fp32' },
  { name: 'hub/gemma3-split', dtype: 'q4' },
]

/** Models whose tokens may differ from the reference. */
const inexact: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^genai\/gpt-oss fp16$/, 'rounding can choose another expert'],
  [/^optimum\/phi4-mini q8$/, 'another order of summation rounds other activations to 8 bits'],
]

/** Logits that are closer than this may be in another order: sums are computed in another order, too. */
const tolerance = 0.001
const roundingTolerances = new Map<OnnxDtype, number>([
  // 16-bit floats have 11 bits, and the reference is computed with 32-bit floats.
  ['fp16', 0.01],
  ['q4f16', 0.01],
  // Where activations are rounded to 8 bits, a small difference can become a whole step.
  ['q8', 0.02],
])

async function openOnWasm({ name, dtype }: ZooModel, conversationCacheBytes: number): Promise<Decoder> {
  const folder = openDiskFolder(join(zoo, name))
  const { contextLength, cacheSizes } = await readModelConfig(folder)
  const weights = await readModelWeights(folder, { dtypes: [dtype], unsupported: [] }, () => {})
  return openDecoder(runtime, 'wasm', weights, {
    contextLength,
    cacheSizes,
    conversationCacheBytes,
    onSession: () => {},
  })
}

/** @returns the execution, and where the tokens differ from the reference; or the error code */
async function runOnWasm(model: ZooModel): Promise<readonly [execution: string, differences: string]> {
  try {
    const decoder = await openOnWasm(model, 0)
    const differences: Difference[] = []
    for (const answer of readAnswers(model)) differences.push(...(await compareTokens(decoder, answer)))
    await decoder.release()
    return [
      decoder.execution,
      describeDifferences(differences, roundingTolerances.get(model.dtype) ?? tolerance),
    ]
  } catch (error) {
    if (error instanceof RivuletError) return ['refused', error.code]
    throw error
  }
}

describe('a model of the zoo generates the tokens of its reference', () => {
  if (!hasZoo) {
    // A passing file's skipped tests are not listed.
    process.stdout.write(
      `The zoo's models are skipped: there is no folder ${zoo}. RIVULET_ZOO can name another one.\n`,
    )
    it.skip('on WASM')
    return
  }
  const rows: string[][] = [['architecture', 'exporter', 'dtype', 'execution', 'tokens']]
  const models = Number(process.env.RIVULET_SOAK ?? 1) > 1 ? listZoo() : handful

  it.each(models)('$name $dtype', async (model) => {
    const id = `${model.name} ${model.dtype}`
    const [exporter = '', architecture = ''] = model.name.split('/')
    const exception = inexact.find(([pattern]) => pattern.test(id))
    const [execution, tokens] = await runOnWasm(model)
    const reason = tokens === 'equal' ? undefined : exception?.[1]
    const result = reason === undefined ? tokens : `${tokens} (${reason})`
    rows.push([architecture, exporter, model.dtype, execution, result])
    if (exception) expect(execution).toBe('growing-cache')
    else expect([execution, tokens]).toEqual(['growing-cache', 'equal'])
  })

  afterAll(() => {
    process.stdout.write(`${formatColumns(rows)}\n`)
  })
})

/** With the same weights under the names of two exporters, and with the states of convolutions only. */
const modelsWithStates = [
  { name: 'symbolic/qwen3.5', dtype: 'fp32', reference: 'hub/qwen3.5-one-file' },
  { name: 'hub/qwen3.5-one-file', dtype: 'fp32', reference: 'hub/qwen3.5-one-file' },
  { name: 'hub/lfm2', dtype: 'fp32', reference: 'hub/lfm2' },
  { name: 'hub/qwen3.5-split', dtype: 'fp32', reference: 'hub/qwen3.5-split' },
] as const

/** Answers greedily, as `generateTokens` does. */
async function answerPrompt(decoder: Decoder, prompt: readonly number[]) {
  const reused = decoder.recall(prompt.slice(0, -1))
  const { prefillChunkTokens: chunk } = decoder
  for (let start = reused; start < prompt.length; start += chunk)
    await decoder.prefill(prompt.slice(start, start + chunk))
  decoder.startAnswer(greedy, 0, prompt, [])
  const tokens: number[] = []
  while (tokens.length < 64) tokens.push(await decoder.next(tokens.length, 0))
  return { reused, tokens }
}

describe.skipIf(!hasZoo)('a model with states of fixed size reuses only checkpoints', () => {
  it.each(modelsWithStates)('$name $dtype', async ({ name, dtype, reference }) => {
    const { ids, tokens } = readAnswers({ name: reference, dtype }).find(({ prompt }) => prompt === 'long')!
    const decoder = await openOnWasm({ name, dtype }, 2 ** 24)
    // Without a budget for checkpoints.
    const fresh = await openOnWasm({ name, dtype }, 0)
    const expectReused = async (prompt: readonly number[], reused: number) => {
      fresh.recall([])
      const { tokens: expected } = await answerPrompt(fresh, prompt)
      expect(await answerPrompt(decoder, prompt)).toEqual({ reused, tokens: expected })
    }
    expect(await answerPrompt(decoder, ids)).toEqual({ reused: 0, tokens })
    const followUp = [...ids, ...tokens, ...ids.slice(0, 50)]
    await expectReused(followUp, ids.length + tokens.length - 1)
    await expectReused(followUp, followUp.length - 9)
    await expectReused(ids, ids.length - 9)
    // The last token before the checkpoint differs.
    const last = ids.length - 10
    await expectReused(ids.with(last, ids[last] === 5 ? 6 : 5), 0)
    await decoder.release()
    await fresh.release()
  })
})
