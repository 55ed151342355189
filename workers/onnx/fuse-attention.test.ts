import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import * as runtime from 'onnxruntime-web/wasm'
import { describe, expect, it } from 'vitest'
import { removeDeadNodes } from './graph-edit.js'
import { graphInputs, parsePastName } from './graph-names.js'
import { createGrowingCacheDecoder } from './growing-cache-decoder.js'
import { ModelProtoSchema, type GraphProto, type ModelProto, type NodeProto } from './onnx_pb.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'
import { greedy } from './sampler.js'
import { createSession } from './session.js'
import { readStateSchema } from './state-schema.js'
import { writeOutAttention, type WrittenForm } from './written-attention.test-support.js'

/* The embedded model with its attention written out, as exporters do, and rewritten again. Runs on WebAssembly in Node. */

runtime.env.wasm.numThreads = 1

const contextLength = 512
const cacheSizes = { heads: undefined, headSize: undefined }
const prefillRules = { wholePrompt: false, rotarySwitch: Infinity }
const embedded = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)

/** Writes the attention out, and changes the graph. */
function write(form: WrittenForm, change: (graph: GraphProto) => void = () => {}): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, embedded)
  writeOutAttention(model.graph!, form)
  change(model.graph!)
  removeDeadNodes(model.graph!)
  return toBinary(ModelProtoSchema, model)
}

function rewrite(file: Uint8Array<ArrayBuffer>) {
  const model = fromBinary(ModelProtoSchema, file)
  const options = { device: 'wasm', contextLength, cacheSizes, rotarySwitch: Infinity } as const
  const result = rewriteGraph(model, options)
  if (result.kind === 'unchanged') throw new Error(result.reason)
  return { ...result, graph: fromBinary(ModelProtoSchema, result.bytes).graph! }
}

/** Reads the kinds of the nodes that compute attention. */
function listAttention({ node }: NonNullable<ModelProto['graph']>): string[] {
  const kinds = node.map(({ opType }) => opType)
  return [...new Set(kinds.filter((kind) => kind === 'GroupQueryAttention' || kind === 'Softmax'))]
}

function readAttributes({ attribute }: NodeProto): Record<string, number> {
  return Object.fromEntries(attribute.map(({ name, i, f }) => [name, f || Number(i)]))
}

const prompt = Array.from({ length: 43 }, (_, index) => (index * 389 + 7) % 2048)

/** Generates after a prompt in two runs. @returns the tokens, and the logits of the last one */
async function answer(graph: Uint8Array, externalData: { path: string; data: Uint8Array<ArrayBuffer> }[]) {
  const session = await createSession(
    runtime,
    { kind: 'wasm' },
    { graph: graph as Uint8Array<ArrayBuffer>, externalData },
  )
  const schema = readStateSchema(session, cacheSizes)
  const decoder = await createGrowingCacheDecoder(runtime, session, schema, 0, prefillRules)
  await decoder.prefill(prompt.slice(0, 30))
  await decoder.prefill(prompt.slice(30))
  decoder.startAnswer(greedy, 0, prompt, [])
  const ids: number[] = []
  while (ids.length < 6) ids.push(await decoder.next(ids.length, 0))
  const logits = await decoder.readLogits()
  await decoder.release()
  return { ids, logits }
}

/** The rewritten graph computes what the exported graph computes. */
async function expectSameAnswer(file: Uint8Array<ArrayBuffer>): Promise<void> {
  const expected = await answer(file, [])
  const actual = await answer(rewrite(file).bytes, [{ path: originalFile, data: file }])
  expect(actual.ids).toEqual(expected.ids)
  expect(Math.max(...actual.logits.map((logit, id) => Math.abs(logit - expected.logits[id]!)))).toBeLessThan(
    1e-3,
  )
}

const scale = expect.closeTo(32 ** -0.5, 6)
const plain = { num_heads: 6, kv_num_heads: 2, do_rotary: 0, local_window_size: -1, scale }

describe('attention that is written out becomes GroupQueryAttention', () => {
  it.each<[string, WrittenForm, 'captured' | 'fixed', object]>([
    ['with a mask of -Infinity', { mask: 'infinite', scale: 'both' }, 'captured', plain],
    ['with a mask of large numbers', { mask: 'add', scale: 'queries' }, 'captured', plain],
    ['with a condition for the mask', { mask: 'where' }, 'captured', plain],
    ['with a smallest score', { mask: 'add', floor: -3.4e38 }, 'captured', plain],
    ['with positions as an input', { mask: 'add', hasPositionInput: true }, 'captured', plain],
    ['with products of three dimensions', { mask: 'add', rank: 3 }, 'captured', plain],
    ['with a sliding window', { mask: 'infinite', window: 8 }, 'fixed', { ...plain, local_window_size: 8 }],
    ['with a bias for each position', { mask: 'add', hasBias: true }, 'fixed', plain],
    ['with a bias and three dimensions', { mask: 'add', hasBias: true, rank: 3 }, 'fixed', plain],
    ['with a bias and a window', { mask: 'where', hasBias: true, window: 8 }, 'fixed', plain],
  ])('%s', async (_, form, cache, attributes) => {
    const file = write(form)
    const { graph, ...result } = rewrite(file)
    expect(listAttention(graph)).toEqual(['GroupQueryAttention'])
    expect(result).toMatchObject({ cache, hasScoreMatrix: form.hasBias ?? false })
    for (const node of graph.node.filter(({ opType }) => opType === 'GroupQueryAttention'))
      expect(readAttributes(node)).toEqual(attributes)
    const inputs = graph.input.map(({ name }) => name).filter((name) => !parsePastName(name))
    const { tokenIds, positionIds, lastIndex, totalLength } = graphInputs
    expect(inputs.toSorted()).toEqual([tokenIds, positionIds, lastIndex, totalLength].toSorted())
    await expectSameAnswer(file)
  })

  it('without shapes that are computed from a tensor', () => {
    const { graph } = rewrite(write({ mask: 'infinite' }))
    const kinds = graph.node.map(({ opType }) => opType)
    for (const kind of ['Shape', 'Range', 'Expand', 'Concat']) expect(kinds).not.toContain(kind)
  })
})

/** Replaces the second input of the first node of a kind. */
function replaceInput(opType: string, index: number, from: (graph: GraphProto) => string) {
  return (graph: GraphProto) => {
    graph.node.find((node) => node.opType === opType)!.input[index] = from(graph)
  }
}

describe('attention that GroupQueryAttention cannot compute stays as it is', () => {
  it.each<[string, WrittenForm, ((graph: GraphProto) => void)?]>([
    ['if a token reads the next one', { mask: 'add', readsNext: true }],
    ['if small scores are cut off', { mask: 'add', floor: -5 }],
    ['if other heads share a key', { mask: 'add', isInterleaved: true }],
    // ONNX Runtime's GroupQueryAttention on WebGPU ignores it.
    ['if it has a softcap', { mask: 'add', softcap: 20 }],
    ['if the scale differs between heads', { mask: 'add' }, replaceInput('Div', 1, () => 'w.slopes')],
    [
      'if a layer has no mask',
      { mask: 'add' },
      // The scores that the mask would be added to.
      (graph) => {
        const softmax = graph.node.find(({ opType }) => opType === 'Softmax')!
        const sum = graph.node.find(({ output }) => output[0] === softmax.input[0])!
        softmax.input[0] = sum.input[0]!
      },
    ],
  ])('%s', (_, form, change) => {
    const { graph, cache } = rewrite(write(form, change))
    expect(listAttention(graph)).toEqual(['Softmax'])
    expect(cache).toBe('growing')
    // Only the head is changed.
    expect(graph.node.map(({ opType }) => opType)).toContain('Slice')
  })

  it('and still generates the same tokens', async () => {
    await expectSameAnswer(write({ mask: 'add', isInterleaved: true }))
  })

  it('if an operator is unknown', () => {
    const hide = (graph: GraphProto) => {
      graph.node.find(({ opType }) => opType === 'Softmax')!.opType = 'Hardmax'
    }
    expect(() => rewrite(write({ mask: 'add' }, hide))).toThrow('its head has an unknown form')
  })
})
