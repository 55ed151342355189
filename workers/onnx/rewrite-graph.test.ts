import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { graphInputs, logitsOutput, parsePastName } from './graph-names.js'
import { ModelProtoSchema, type GraphProtoSchema } from './onnx_pb.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)

/** The smallest graph that can be rewritten. */
const attention = {
  opType: 'GroupQueryAttention',
  input: ['q', 'k', 'v', 'pk', 'pv', 'a', 'b'],
  output: ['x'],
}
const head = { opType: 'MatMul', input: ['x', 'w'], output: [logitsOutput] }
const rewrite = (graph: MessageInitShape<typeof GraphProtoSchema>) =>
  rewriteGraph(create(ModelProtoSchema, { graph: { output: [{ name: logitsOutput }], ...graph } }))

describe('the embedded model, rewritten', () => {
  const result = rewriteGraph(fromBinary(ModelProtoSchema, file))
  const bytes = result.kind === 'rewritten' ? result.bytes : new Uint8Array()
  const graph = fromBinary(ModelProtoSchema, bytes).graph!

  it('has lengths as inputs instead of a mask', () => {
    const names = graph.input.map(({ name }) => name).filter((name) => !parsePastName(name))
    expect(names.toSorted()).toEqual([graphInputs.tokenIds, graphInputs.lastIndex, graphInputs.totalLength])
    for (const node of graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')) {
      expect(node.input.slice(5, 7)).toEqual([graphInputs.lastIndex, graphInputs.totalLength])
    }
  })

  it('computes only the logits of the last position, without unused nodes', () => {
    const product = graph.node.find(({ output }) => output.includes(logitsOutput))!
    const slice = graph.node.find(({ output }) => output[0] === product.input[0])
    expect(slice?.opType).toBe('Slice')
    expect(graph.node.map(({ opType }) => opType)).not.toContain('ReduceSum')
  })

  it('refers to the weights in the original file', () => {
    expect(bytes.byteLength).toBeLessThan(file.byteLength / 20)
    const original = fromBinary(ModelProtoSchema, file).graph!.initializer
    const moved = graph.initializer.filter(({ externalData }) => externalData.length > 0)
    expect(moved.length).toBeGreaterThan(0)
    for (const { name, externalData } of moved) {
      const entry = (key: string) => externalData.find((data) => data.key === key)?.value
      expect(entry('location')).toBe(originalFile)
      const [offset, length] = [Number(entry('offset')), Number(entry('length'))]
      const weight = original.find((tensor) => tensor.name === name)!
      expect(Buffer.compare(file.subarray(offset, offset + length), weight.rawData)).toBe(0)
    }
  })
})

describe('the head', () => {
  const product = { ...head, output: ['product'] }
  const finish = (input: readonly string[]) => ({ opType: 'Add', input: [...input], output: [logitsOutput] })

  it('may have a bias, before or after the product', () => {
    for (const input of [
      ['product', 'bias'],
      ['bias', 'product'],
    ]) {
      expect(rewrite({ node: [attention, product, finish(input)] }).kind).toBe('rewritten')
    }
  })

  it('is not found in a cycle', () => {
    const cycle = { opType: 'Cast', input: [logitsOutput], output: [logitsOutput] }
    expect(rewrite({ node: [attention, cycle] })).toMatchObject({ kind: 'unchanged' })
  })

  it('may be scaled by a constant of the graph', () => {
    const scale = { opType: 'Constant', output: ['scale'] }
    const scaled = { opType: 'Div', input: ['product', 'scale'], output: [logitsOutput] }
    expect(rewrite({ node: [attention, product, scale, scaled] }).kind).toBe('rewritten')
  })

  it('is not found if two results are added', () => {
    const second = { opType: 'Identity', input: ['x'], output: ['second'] }
    expect(rewrite({ node: [attention, product, second, finish(['product', 'second'])] })).toMatchObject({
      kind: 'unchanged',
    })
  })
})

describe('a graph is captured', () => {
  const rewriteWithWindows = (...windows: readonly bigint[]) =>
    rewrite({
      node: [
        ...windows.map((i, index) => ({
          ...attention,
          attribute: [{ name: 'local_window_size', i }],
          output: [`x${index}`],
        })),
        attention,
        head,
        // Reads all layers, so that none is unused.
        { opType: 'Sum', input: windows.map((_, index) => `x${index}`), output: ['sum'] },
      ],
      output: [{ name: logitsOutput }, { name: 'sum' }],
    })

  it('if no attention has a sliding window', () => {
    expect(rewrite({ node: [attention, head] })).toMatchObject({ kind: 'rewritten', canCapture: true })
    expect(rewriteWithWindows(-1n, -1n)).toMatchObject({ kind: 'rewritten', canCapture: true })
  })

  it('but not if some attention has one: ONNX Runtime 1.30.0 would be wrong past the window', () => {
    expect(rewriteWithWindows(-1n, 4096n)).toMatchObject({ kind: 'rewritten', canCapture: false })
  })
})

describe('a graph stays unchanged', () => {
  it('without GroupQueryAttention', () => {
    expect(rewrite({ node: [head] })).toEqual({
      kind: 'unchanged',
      reason: expect.stringContaining('GroupQuery'),
    })
  })

  it('if its logits are not the result of a matrix product', () => {
    const node = [attention, { opType: 'Softmax', input: ['x'], output: [logitsOutput] }]
    expect(rewrite({ node })).toEqual({ kind: 'unchanged', reason: expect.stringContaining(logitsOutput) })
  })

  it('if another node than attention reads the mask', () => {
    const mask = { opType: 'Add', input: ['x', graphInputs.attentionMask], output: ['y'] }
    const node = [attention, mask, { ...head, input: ['y', 'w'] }]
    const result = rewrite({
      node,
      input: [{ name: graphInputs.tokenIds }, { name: graphInputs.attentionMask }],
    })
    expect(result).toEqual({ kind: 'unchanged', reason: expect.stringContaining(graphInputs.attentionMask) })
  })
})
