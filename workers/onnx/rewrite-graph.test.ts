import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { graphInputs, logitsOutput, parsePastName } from './graph-names.js'
import { ModelProtoSchema, type GraphProtoSchema } from './onnx_pb.js'
import { originalFile, rewriteGraph, type RewriteOptions } from './rewrite-graph.js'

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)

const options: RewriteOptions = {
  device: 'webgpu',
  contextLength: 512,
  cacheSizes: { heads: undefined, headSize: undefined },
  rotarySwitch: Infinity,
}

/** The smallest graph that can be rewritten. */
const attention = {
  opType: 'GroupQueryAttention',
  input: ['q', 'k', 'v', 'pk', 'pv', 'a', 'b'],
  output: ['x'],
}
const head = { opType: 'MatMul', input: ['x', 'w'], output: [logitsOutput] }
const rewrite = (graph: MessageInitShape<typeof GraphProtoSchema>) => {
  // A copy, since a rewrite modifies the nodes.
  const copy = structuredClone({ output: [{ name: logitsOutput }], ...graph })
  return rewriteGraph(create(ModelProtoSchema, { graph: copy }), options)
}
/** Reads a rewritten graph. */
const read = (result: ReturnType<typeof rewrite>) =>
  fromBinary(ModelProtoSchema, result.kind === 'rewritten' ? result.bytes : new Uint8Array()).graph!

describe('the embedded model, rewritten', () => {
  const result = rewriteGraph(fromBinary(ModelProtoSchema, file), options)
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

  it('may multiply quantized activations, whose scale is the same for all positions', () => {
    const quantize = { opType: 'DynamicQuantizeLinear', input: ['x'], output: ['quantized', 'scale', 'zero'] }
    const node = [
      attention,
      quantize,
      { opType: 'MatMulInteger', input: ['quantized', 'w', 'zero', 'w.zero'], output: ['product'] },
      { opType: 'Cast', input: ['product'], output: ['floats'] },
      { opType: 'Mul', input: ['scale', 'w.scale'], output: ['scales'] },
      { opType: 'Mul', input: ['floats', 'scales'], output: [logitsOutput] },
    ]
    const { node: rewritten } = read(rewrite({ node }))
    const integers = rewritten.find(({ opType }) => opType === 'MatMulInteger')!
    // The scale is that of all positions, so only the quantized activations are cut.
    expect(rewritten.find(({ output }) => output[0] === integers.input[0])).toMatchObject({
      opType: 'Slice',
      input: expect.arrayContaining(['quantized']),
    })
    expect(rewritten.find(({ opType }) => opType === quantize.opType)?.input).toEqual(quantize.input)
  })

  it('computes one position if an input asks for the number of positions', () => {
    const slice = { opType: 'Slice', input: ['x', graphInputs.logitsToKeep], output: ['y'] }
    const node = [attention, slice, { ...head, input: ['y', 'w'] }]
    const graph = read(rewrite({ node, input: [{ name: graphInputs.logitsToKeep }] }))
    expect(graph.input.map(({ name }) => name)).not.toContain(graphInputs.logitsToKeep)
    expect(graph.initializer.find(({ name }) => name === graphInputs.logitsToKeep)?.rawData).toEqual(
      new Uint8Array(BigInt64Array.of(1n).buffer),
    )
  })

  it('is not found if two results are added', () => {
    const second = { opType: 'Identity', input: ['x'], output: ['second'] }
    expect(rewrite({ node: [attention, product, second, finish(['product', 'second'])] })).toMatchObject({
      kind: 'unchanged',
    })
  })
})

describe('a graph has a fixed cache', () => {
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

  it('and is captured if no attention has a sliding window', () => {
    expect(rewrite({ node: [attention, head] })).toMatchObject({ kind: 'rewritten', cache: 'captured' })
    expect(rewriteWithWindows(-1n, -1n)).toMatchObject({ kind: 'rewritten', cache: 'captured' })
  })

  it('without capture if some attention has one: ONNX Runtime 1.30.0 would be wrong past the window', () => {
    expect(rewriteWithWindows(-1n, 4096n)).toMatchObject({ kind: 'rewritten', cache: 'fixed' })
  })

  it('and is captured if it reads the positions from an input (Hunyuan)', () => {
    const rotate = { opType: 'RotaryEmbedding', input: ['k', graphInputs.positionIds], output: ['rotated'] }
    const node = [rotate, { ...attention, input: attention.input.with(1, 'rotated') }, head]
    const input = [{ name: graphInputs.tokenIds }, { name: graphInputs.positionIds }]
    const result = rewrite({ node, input })
    expect(result).toMatchObject({ kind: 'rewritten', cache: 'captured' })
    expect(read(result).input.map(({ name }) => name)).toContain(graphInputs.positionIds)
  })

  it('and is captured if it has states of fixed size', () => {
    const conv = {
      opType: 'CausalConvWithState',
      input: ['x', 'past_conv.0'],
      output: ['y', 'present_conv.0'],
    }
    const node = [attention, conv, { ...head, input: ['y', 'w'] }]
    const result = rewrite({ node, input: [{ name: graphInputs.tokenIds }, { name: 'past_conv.0' }] })
    expect(result).toMatchObject({ kind: 'rewritten', cache: 'captured' })
    expect(read(result).node.map(({ opType }) => opType)).toContain('Slice')
  })

  it('without capture if another node than attention reads the mask, which is computed from the length', () => {
    const mask = { opType: 'Add', input: ['x', graphInputs.attentionMask], output: ['y'] }
    const node = [attention, mask, { ...head, input: ['y', 'w'] }]
    const input = [{ name: graphInputs.tokenIds }, { name: graphInputs.attentionMask }]
    const result = rewrite({ node, input })
    expect(result).toMatchObject({ kind: 'rewritten', cache: 'fixed' })
    const graph = read(result)
    expect(graph.input.map(({ name }) => name)).not.toContain(graphInputs.attentionMask)
    const sum = graph.node.find(({ opType }) => opType === 'Add')!
    expect(graph.node.find(({ output }) => output[0] === sum.input[1])?.opType).toBe('ConstantOfShape')
  })
})

it('a graph has a growing cache, and computes only the last logits, if another node than attention reads the cache', () => {
  const past = 'past_key_values.0.key'
  const sum = { opType: 'Add', input: ['x', past], output: ['y'] }
  const node = [attention, sum, { ...head, input: ['y', 'w'] }]
  const result = rewrite({ node, input: [{ name: graphInputs.tokenIds }, { name: past }] })
  expect(result).toMatchObject({ kind: 'rewritten', cache: 'growing' })
  expect(read(result).node.map(({ opType }) => opType)).toContain('Slice')
})

describe('a graph stays unchanged', () => {
  it('if the form of its head is unknown', () => {
    expect(rewrite({ node: [head] })).toEqual({
      kind: 'unchanged',
      reason: expect.stringContaining('head'),
    })
  })

  it('if its logits are not the result of a matrix product', () => {
    const node = [attention, { opType: 'Softmax', input: ['x'], output: [logitsOutput] }]
    expect(rewrite({ node })).toEqual({ kind: 'unchanged', reason: expect.stringContaining(logitsOutput) })
  })

  it('if it computes a shape in too many steps', () => {
    const type = {
      value: { case: 'tensorType' as const, value: { elemType: 7, shape: { dim: [{}, {}] } } },
    }
    const names = [
      graphInputs.attentionMask,
      ...Array.from({ length: 50_000 }, (_, index) => `step.${index}`),
    ]
    const steps = names
      .slice(1)
      .map((name, index) => ({ opType: 'Neg', input: [names[index]!], output: [name] }))
    const reshape = { opType: 'Reshape', input: [graphInputs.attentionMask, names.at(-1)!], output: ['x'] }
    const result = rewrite({
      node: [...steps, reshape, head],
      input: [{ name: graphInputs.attentionMask, type }],
    })
    expect(result).toEqual({ kind: 'unchanged', reason: 'it is too complex' })
  })

  it('if it has an unknown input', () => {
    const sum = { opType: 'Add', input: ['x', 'inputs_embeds'], output: ['y'] }
    const node = [attention, sum, { ...head, input: ['y', 'w'] }]
    const result = rewrite({ node, input: [{ name: graphInputs.tokenIds }, { name: 'inputs_embeds' }] })
    expect(result).toEqual({ kind: 'unchanged', reason: expect.stringContaining('inputs_embeds') })
  })
})
