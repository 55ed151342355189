import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import { describe, expect, it } from 'vitest'
import { readPart } from './external-data.js'
import { removeDeadNodes } from './graph-edit.js'
import { graphInputs } from './graph-names.js'
import { createGrowingCacheDecoder } from './growing-cache-decoder.js'
import type { ModelWeights } from './model-weights.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { greedy } from './sampler.js'
import { createSession } from './session.js'
import { readStateSchema } from './state-schema.js'
import { tabulateRotary } from './tabulate-rotary.js'
import { writeOutAttention, type WrittenForm } from './written-attention.test-support.js'

/* The embedded model with its attention written out, as Optimum does. Runs on WebAssembly in Node. */

runtime.env.wasm.numThreads = 1

const contextLength = 512
const cacheSizes = { heads: undefined, headSize: undefined }
const embedded = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)

function write(form: Partial<WrittenForm>): ModelWeights & { readonly dtype: 'q8' } {
  const model = fromBinary(ModelProtoSchema, embedded)
  writeOutAttention(model.graph!, { mask: 'infinite', computesRotary: true, ...form })
  removeDeadNodes(model.graph!)
  const graph = toBinary(ModelProtoSchema, model)
  return { dtype: 'q8', graph, model: fromBinary(ModelProtoSchema, graph), externalData: [] }
}

const prompt = Array.from({ length: 43 }, (_, index) => (index * 389 + 7) % 2048)

/** Generates after a prompt in two runs. @returns the tokens, and the logits of the last one */
async function answer(files: Pick<ModelWeights, 'graph' | 'externalData'>) {
  const session = await createSession(runtime, { kind: 'wasm' }, files)
  const schema = readStateSchema(session, cacheSizes)
  const rules = { wholePrompt: false, rotarySwitch: Infinity }
  const decoder = await createGrowingCacheDecoder(runtime, session, schema, 0, rules)
  await decoder.prefill(prompt.slice(0, 30))
  await decoder.prefill(prompt.slice(30))
  decoder.startAnswer(greedy, 0, prompt, [])
  const ids: number[] = []
  while (ids.length < 6) ids.push(await decoder.next(ids.length, 0))
  const logits = await decoder.readLogits()
  await decoder.release()
  return { ids, logits }
}

describe('rotary factors that a graph computes are read from tables', () => {
  it.each([
    ['if the positions are an input', { hasPositionInput: true }],
    ['if the positions start at the length of the cache', {}],
  ])('%s', async (_, form) => {
    const weights = write(form)
    const expected = await answer(weights)
    const { tables, exported } = tabulateRotary(weights, { contextLength, cacheSizes })!
    const { node, initializer } = fromBinary(ModelProtoSchema, exported.graph).graph!
    expect(node.filter(({ opType }) => opType === 'Cos' || opType === 'Sin')).toEqual([])
    expect(node.flatMap(({ input }) => input)).toContain(graphInputs.positionIds)
    // Both halves of a head have the same factors.
    const rotary = initializer.filter(({ name }) => name.startsWith('rivulet.angles'))
    expect(rotary.map(({ dims }) => dims)).toEqual([
      [512n, 16n],
      [512n, 16n],
    ])
    const rewrite = rewriteGraph(weights.model, {
      device: 'wasm',
      contextLength,
      cacheSizes,
      rotarySwitch: Infinity,
    })
    if (rewrite.kind === 'unchanged') throw new Error(rewrite.reason)
    expect(rewrite.cache).toBe('captured')
    const rewritten = {
      graph: rewrite.bytes,
      externalData: [...tables, { path: originalFile, data: weights.graph }],
    }
    for (const files of [exported, rewritten]) {
      const { ids, logits } = await answer(files)
      expect(ids).toEqual(expected.ids)
      const differences = logits.map((logit, id) => Math.abs(logit - expected.logits[id]!))
      expect(Math.max(...differences)).toBeLessThan(1e-4)
    }
  })

  it('with the exact functions of angles in 32-bit floats, for all positions', () => {
    const weights = write({})
    const tensor = weights.model.graph!.initializer.find(({ name }) => name === 'w.inverse')!
    const frequencies = new Float32Array(tensor.rawData.slice().buffer)
    const rows = 131_072
    const { data } = tabulateRotary(weights, { contextLength: rows, cacheSizes })!.tables[0]!
    const values = new Float32Array(readPart(data, 0, data.byteLength).buffer)
    expect(values).toHaveLength(2 * rows * 16)
    let largest = 0
    for (let place = 0; place < rows * 16; place += 1) {
      const angle = Math.fround(Math.floor(place / 16) * frequencies[place % 16]!)
      largest = Math.max(
        largest,
        Math.abs(values[place]! - Math.cos(angle)),
        Math.abs(values[rows * 16 + place]! - Math.sin(angle)),
      )
    }
    // Half of a step of a 32-bit float between 0.5 and 1, and what the terms leave out.
    expect(largest).toBeLessThan(3.1e-8)
  })
})

describe('a graph stays as exported', () => {
  it.each<[string, Partial<WrittenForm>, number]>([
    ['if it reads its rotary factors from tables', { computesRotary: false }, contextLength],
    ['if its rotary factors depend on the length', { rotaryLimit: 300 }, contextLength],
    ['if a table would be larger than 128 MiB', {}, 2 ** 22],
  ])('%s', (_, form, length) => {
    const { graph, model, ...rest } = write(form)
    const options = { contextLength: length, cacheSizes }
    expect(tabulateRotary({ graph, model, ...rest }, options)).toBeUndefined()
    expect(Buffer.compare(toBinary(ModelProtoSchema, model), graph)).toBe(0)
  })
})
