import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { ModelProtoSchema, type GraphProtoSchema } from './onnx_pb.js'
import { originalFile, rewriteGraph } from './rewrite-graph.js'

const file = new Uint8Array(
  readFileSync(join(import.meta.dirname, '../../demo/public/models/stories/onnx/model_quantized.onnx')),
)

/** A graph cut down to what the rewrite looks at. */
const attention = {
  opType: 'GroupQueryAttention',
  input: ['q', 'k', 'v', 'pk', 'pv', 'a', 'b'],
  output: ['x'],
}
const head = { opType: 'MatMul', input: ['x', 'w'], output: ['logits'] }
const rewrite = (graph: MessageInitShape<typeof GraphProtoSchema>) =>
  rewriteGraph(create(ModelProtoSchema, { graph: { output: [{ name: 'logits' }], ...graph } }))

describe('the embedded model, rewritten', () => {
  const result = rewriteGraph(fromBinary(ModelProtoSchema, file))
  const bytes = result.kind === 'rewritten' ? result.bytes : new Uint8Array()
  const graph = fromBinary(ModelProtoSchema, bytes).graph!

  it('takes lengths in place of a mask', () => {
    const names = graph.input.map(({ name }) => name).filter((name) => !name.startsWith('past_key_values.'))
    expect(names.toSorted()).toEqual(['input_ids', 'seqlens_k', 'total_sequence_length'])
    for (const node of graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')) {
      expect(node.input.slice(5, 7)).toEqual(['seqlens_k', 'total_sequence_length'])
    }
  })

  it('computes the logits of the last position only, and nothing that nobody needs', () => {
    const product = graph.node.find(({ output }) => output.includes('logits'))!
    const slice = graph.node.find(({ output }) => output[0] === product.input[0])
    expect(slice?.opType).toBe('Slice')
    expect(graph.node.map(({ opType }) => opType)).not.toContain('ReduceSum')
  })

  it('leaves the weights where they are in the original file', () => {
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

describe('a graph stays as it is', () => {
  it('without GroupQueryAttention', () => {
    expect(rewrite({ node: [head] })).toEqual({
      kind: 'unchanged',
      reason: expect.stringContaining('GroupQuery'),
    })
  })

  it('where its logits come from something other than a product', () => {
    const node = [attention, { opType: 'Softmax', input: ['x'], output: ['logits'] }]
    expect(rewrite({ node })).toEqual({ kind: 'unchanged', reason: expect.stringContaining('logits') })
  })

  it('where more than attention reads the mask', () => {
    const mask = { opType: 'Add', input: ['x', 'attention_mask'], output: ['y'] }
    const node = [attention, mask, { ...head, input: ['y', 'w'] }]
    const result = rewrite({ node, input: [{ name: 'input_ids' }, { name: 'attention_mask' }] })
    expect(result).toEqual({ kind: 'unchanged', reason: expect.stringContaining('"attention_mask"') })
  })
})
