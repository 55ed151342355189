import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { afterAll, describe, expect, inject, it, vi } from 'vitest'
import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { openBytes } from '../store/readable-file.js'
import { readModelConfig } from './model-config.js'
import { readModelWeights, type ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { openDecoder } from './open-decoder.js'
import { loadOnnxRuntime } from './session.js'
import { refuseSoftCap } from './soft-cap.js'
import {
  compareTokens,
  describeDifferences,
  formatColumns,
  type Difference,
  type ZooAnswer,
  type ZooModel,
} from './zoo-answers.test-support.js'

/*
 * The models of the zoo on WebGPU with 16-bit floats and subgroups: a handful in `npm test`, all in `npm run soak`.
 */

declare module 'vitest' {
  interface ProvidedContext {
    readonly zoo: {
      readonly folder: string
      readonly models: readonly (ZooModel & { readonly answers: readonly ZooAnswer[] })[]
    }
  }
}
const { folder: zooFolder, models } = inject('zoo')

/**
 * Logits that are closer than this may be in another order, if their standard deviation is at most 1. Those with a larger one
 * (4 to 6 in Qwen 3.5, SmolLM3 and Phi-4-mini) are rounded in larger steps, so the tolerance is multiplied by it.
 */
const defaultTolerance = 0.001
const tolerances = new Map<OnnxDtype, number>([
  // Activations that differ by a relative 1e-7 are rounded to another step. On the CPU, this changes the logits of two tokens by
  // 0.01 of their standard deviation.
  ['q8', 0.02],
  // 16-bit floats have 11 bits, and the reference is computed with 32-bit floats.
  ['fp16', 0.05],
  ['q4f16', 0.05],
])

/**
 * The builders write `accuracy_level` 4 into 4-bit graphs, which allows ONNX Runtime to round activations to 8 bits. On an
 * adapter with subgroups, it does.
 */
const roundedTolerance = 0.15

type Activations = 'as exported' | 'not rounded'

/**
 * Models whose tokens may differ from the reference by more, because rounded activations change them more. With random
 * weights, the tokens show little but rounding:
 * - The mixture of experts of gpt-oss always rounds activations to 8 bits if it has 4-bit weights. Two experts are sometimes
 *   almost equally good, and rounding chooses the other one: the tokens differ only there.
 * - The recurrent states of Qwen 3.5 keep what rounding has changed. On the CPU, where ONNX Runtime rounds activations, too,
 *   20 of the 192 tokens differ from those without rounding, by up to 8.2 in the logits.
 */
const inexact: readonly {
  readonly pattern: RegExp
  readonly activations: readonly Activations[]
  readonly maxDifferences: number
}[] = [
  {
    pattern: /^genai\/gpt-oss (q4f16|q4|fp16)$/,
    activations: ['as exported', 'not rounded'],
    maxDifferences: 12,
  },
  { pattern: /^(hub|symbolic)\/qwen3\.5\S* q4$/, activations: ['as exported'], maxDifferences: 20 },
]

/** Models that are refused on WebGPU. */
const refused = /^genai\/gemma2 /

/** Reads the files of a model from vite's server. */
function openServedFolder(name: string): ModelFolder {
  const url = `/@fs${zooFolder}/${name}`
  async function load(path: string): Promise<Response | undefined> {
    const response = await fetch(`${url}/${path}`)
    // Vite answers with its own page if there is no such file.
    const isPage = response.headers.get('content-type')?.startsWith('text/html') ?? false
    return response.ok && !isPage ? response : undefined
  }
  return {
    url,
    has: async (path) => (await load(path)) !== undefined,
    openFile: async (path) => {
      const response = await load(path)
      return response && openBytes(new Uint8Array(await response.arrayBuffer()))
    },
    readText: async (path) => (await load(path))?.text(),
    readJson: async (path) => (await load(path))?.json() as Promise<Record<string, unknown>>,
  }
}

/** Removes the permission to round activations, also from the graph that the check at load compares with. */
function forbidRounding(weights: ModelWeights): ModelWeights {
  for (const node of weights.model.graph!.node)
    node.attribute = node.attribute.filter((attribute) => attribute.name !== 'accuracy_level')
  const graph = toBinary(ModelProtoSchema, weights.model)
  return { ...weights, graph, model: fromBinary(ModelProtoSchema, graph) }
}

/** @returns the execution and the tokens that differ */
async function runOnGpu(
  { name, dtype, answers }: (typeof models)[number],
  activations: Activations,
  concurrency = 1,
): Promise<{ readonly execution: string; readonly differences: readonly Difference[] }> {
  const folder = openServedFolder(name)
  const { contextLength, cacheSizes } = await readModelConfig(folder)
  const exported = await readModelWeights(folder, { dtypes: [dtype], unsupported: [] }, (graph) =>
    refuseSoftCap(graph, 'webgpu'),
  )
  const weights = activations === 'not rounded' ? forbidRounding(exported) : exported
  const decoder = await openDecoder(await loadOnnxRuntime('webgpu'), 'webgpu', weights, {
    contextLength,
    cacheSizes,
    conversationCacheBytes: 0,
    maxConcurrentGenerations: concurrency,
    onSession: () => {},
  })
  const differences: Difference[] = []
  if (concurrency === 1)
    for (const answer of answers) differences.push(...(await compareTokens(decoder, answer)))
  else {
    const conversations = Array.from({ length: concurrency }, (_, index) => {
      const each = index === 0 ? decoder : decoder.fork()
      return compareTokens(each, answers[index % answers.length]!).finally(each.endAnswer)
    })
    differences.push(...(await Promise.all(conversations)).flat())
  }
  await decoder.release()
  return { execution: decoder.execution, differences }
}

describe.skipIf(models.length === 0)(
  'a model of the zoo generates the tokens of its reference on WebGPU',
  () => {
    const rows: string[][] = [
      ['architecture', 'exporter', 'dtype', 'activations', 'execution', 'tokens', 'largest gap'],
    ]

    it.each(models)('$name $dtype', { timeout: 600_000 }, async (model) => {
      const id = `${model.name} ${model.dtype}`
      const [exporter = '', architecture = ''] = model.name.split('/')
      if (refused.test(id)) {
        await expect(runOnGpu(model, 'as exported')).rejects.toMatchObject({ code: 'backend-unavailable' })
        rows.push([architecture, exporter, model.dtype, '', 'refused', '', ''])
        return
      }
      const executions = new Set<string>()
      const isRounded = model.dtype === 'q4' || model.dtype === 'q4f16'
      for (const activations of isRounded
        ? (['as exported', 'not rounded'] as const)
        : (['as exported'] as const)) {
        const { execution, differences } = await runOnGpu(model, activations)
        executions.add(execution)
        const exception = inexact.find(
          (each) => each.pattern.test(id) && each.activations.includes(activations),
        )
        const tolerance =
          isRounded && activations === 'as exported'
            ? roundedTolerance
            : (tolerances.get(model.dtype) ?? defaultTolerance)
        const scale = Math.max(1, ...differences.map(({ deviation }) => deviation))
        const tokens = describeDifferences(differences, tolerance * scale)
        const gap = Math.max(0, ...differences.map((difference) => difference.gap)).toFixed(4)
        rows.push([architecture, exporter, model.dtype, activations, execution, tokens, gap])
        if (exception) expect(differences.length).toBeLessThanOrEqual(exception.maxDifferences)
        else expect(tokens).toBe('equal')
      }
      // The check at load accepts the same way with and without rounding.
      expect([...executions]).toHaveLength(1)
    })

    /** The number of reads shows whether a step computes several conversations: without that, it is 1 or more. */
    const batchRows: string[][] = [['model', 'tokens', 'reads per token']]
    const isExact = ({ name, dtype }: ZooModel) =>
      !inexact.some(
        ({ pattern, activations }) => pattern.test(`${name} ${dtype}`) && activations.includes('not rounded'),
      )

    it
      .runIf(inject('isSoak'))
      .each(
        models.filter((model) => model.dtype === 'q4' && !refused.test(`${model.name} q4`) && isExact(model)),
      )('$name $dtype, in four conversations at the same time', { timeout: 600_000 }, async (model) => {
      const read = vi.spyOn(GPUBuffer.prototype, 'mapAsync')
      const { differences } = await runOnGpu(model, 'not rounded', 4)
      const { length } = model.answers.flatMap(({ tokens }) => tokens)
      const tokens = describeDifferences(differences, defaultTolerance)
      batchRows.push([model.name, tokens, (read.mock.calls.length / length).toFixed(2)])
      read.mockRestore()
      expect(tokens).toBe('equal')
    })

    // oxlint-disable-next-line no-console -- A page has no other output.
    afterAll(() => console.log(`${formatColumns(rows)}\n${formatColumns(batchRows)}`))
  },
)
