import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import type { InferenceSession } from 'onnxruntime-web'
import { describe, expect, it } from 'vitest'
import { countTensorBytes } from './check-fit.js'
import { cutLayers, keptTokens } from './cut-layers.js'
import {
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  type GraphProto,
} from './onnx_pb.js'
import { leaveWeightsInFile, originalFile } from './rewrite-graph.js'
import { createSession } from './session.js'
import { readCacheInputs, readPositionRows } from './state-schema.js'
import { prepareTokenFeeds } from './token-feeds.js'

/* Cuts the embedded model, and runs it on ONNX Runtime's WebAssembly in Node. */

runtime.env.wasm.numThreads = 1

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)
const noSizes = { heads: undefined, headSize: undefined }

function cut(maxBytes: number, change: (graph: GraphProto) => void = () => {}) {
  const model = fromBinary(ModelProtoSchema, file)
  change(model.graph!)
  cutLayers(model.graph!, maxBytes)
  return model
}

const countBytes = ({ initializer }: GraphProto) =>
  initializer.reduce((sum, tensor) => sum + countTensorBytes(tensor), 0)
const listOutputs = ({ output }: GraphProto) => output.map(({ name }) => name)

/** Computes three tokens. @returns the outputs */
async function run(maxBytes: number): Promise<InferenceSession.OnnxValueMapType> {
  const model = cut(maxBytes)
  leaveWeightsInFile(model.graph!)
  const session = await createSession(
    runtime,
    { kind: 'wasm' },
    { graph: toBinary(ModelProtoSchema, model), externalData: [{ path: originalFile, data: file }] },
  )
  const { Tensor } = runtime
  const createFeeds = prepareTokenFeeds(Tensor, session, readPositionRows(session))
  const caches = readCacheInputs(session, noSizes).map(({ past, type, heads, headSize }) => [
    past,
    new Tensor(type, new Float32Array(), [1, heads, 0, headSize]),
  ])
  const outputs = await session.run({ ...createFeeds([7, 8, 9], 0), ...Object.fromEntries(caches) })
  await session.release()
  return outputs
}

describe('a graph is cut to its first layers', () => {
  it('not at all if its weights are small enough', () => {
    const model = fromBinary(ModelProtoSchema, file)
    const uncut = cut(countBytes(model.graph!))
    expect(Buffer.compare(toBinary(ModelProtoSchema, uncut), toBinary(ModelProtoSchema, model))).toBe(0)
  })

  it('whose KV caches do not change', async () => {
    const [whole, two] = [await run(Infinity), await run(0)]
    expect(Object.keys(two).toSorted()).toEqual([
      'present.0.key',
      'present.0.value',
      'present.1.key',
      'present.1.value',
    ])
    for (const name of Object.keys(two)) expect(two[name]!.data).toEqual(whole[name]!.data)
  })

  it('as many as fit, without the head and most of the embedding', () => {
    const { graph } = fromBinary(ModelProtoSchema, file)
    const budget = countBytes(graph!) / 2
    const half = cut(budget).graph!
    expect(countBytes(half)).toBeLessThanOrEqual(budget)
    expect(listOutputs(half)).not.toContain('logits')
    expect(listOutputs(half).length).toBeGreaterThan(listOutputs(cut(0).graph!).length)
    expect(half.node.length).toBeLessThan(graph!.node.length)
  })

  it.each([
    ['that is read for the ids of the tokens has only the first rows', 'input_ids', BigInt(keptTokens)],
    ['that is read for positions keeps all rows', 'position_ids', 1000n],
  ])('a table %s', (_, indices, rows) => {
    const { graph } = cut(0, ({ initializer, node }) => {
      const rawData = new Uint8Array(4 * 4 * 1000)
      initializer.push(create(TensorProtoSchema, { name: 'table', dims: [1000n, 4n], dataType: 1, rawData }))
      node.unshift(create(NodeProtoSchema, { opType: 'Gather', input: ['table', indices], output: ['rows'] }))
      node.find(({ opType }) => opType === 'GroupQueryAttention')!.input.push('rows')
    })
    const table = graph!.initializer.find(({ name }) => name === 'table')
    expect(table).toMatchObject({ dims: [rows, 4n] })
    expect(table!.rawData).toHaveLength(Number(rows) * 16)
  })

  it('with a layer after the first one of each attention window', () => {
    const addWindow = ({ node }: GraphProto) => {
      const { attribute } = node.filter(({ opType }) => opType === 'GroupQueryAttention')[2]!
      attribute.push(create(AttributeProtoSchema, { name: 'local_window_size', i: 16n }))
    }
    expect(listOutputs(cut(0, addWindow).graph!)).toContain('present.3.key')
    expect(listOutputs(cut(0, addWindow).graph!)).not.toContain('present.4.key')
  })
})
