import { create } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { createArtificialFiles } from './artificial-weights.js'
import { referToFile } from './external-tensor.js'
import { decodeFloat16 } from './float16.js'
import { createNode } from './graph-edit.js'
import { GraphProtoSchema, TensorProtoSchema, type GraphProto } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

interface Weight {
  readonly name: string
  readonly type: keyof typeof tensorTypes
  readonly offset: number
  readonly length: number
}

function createGraph(weights: readonly Weight[]): GraphProto {
  return create(GraphProtoSchema, {
    node: [createNode('SimplifiedLayerNormalization', ['x', 'norm'], ['y'])],
    initializer: weights.map(({ name, type, offset, length }) =>
      referToFile(create(TensorProtoSchema, { name, dataType: tensorTypes[type] }), {
        location: 'data',
        offset,
        length,
      }),
    ),
  })
}

it('a graph gets files in which all weights are small, those of norms are one, and memory is shared', () => {
  const files = createArtificialFiles(
    createGraph([
      { name: 'norm', type: 'float32', offset: 0, length: 4000 },
      { name: 'wide', type: 'float32', offset: 4096, length: 400_000 },
      { name: 'narrow', type: 'float32', offset: 404_096, length: 4000 },
      { name: 'half', type: 'float16', offset: 408_192, length: 2000 },
      { name: 'packed', type: 'uint8', offset: 410_192, length: 3000 },
    ]),
  )!
  const [{ path, data }] = files as unknown as readonly [(typeof files)[number]]
  expect([files.length, path, data.byteLength, data instanceof Uint8Array]).toEqual([
    1,
    'data',
    413_192,
    true,
  ])
  const read = (offset: number, length: number) => data.subarray(offset, offset + length)
  const toFloats = ({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>) =>
    new Float32Array(buffer, byteOffset, length / 4)
  expect(new Set(toFloats(read(0, 4000)))).toEqual(new Set([1]))
  const wide = toFloats(read(4096, 400_000))
  expect(Math.max(...wide.map(Math.abs))).toBeLessThanOrEqual(1 / 32)
  expect(new Set(wide).size).toBeGreaterThan(10_000)
  expect(read(404_096, 4000).buffer).toBe(read(4096, 4).buffer)
  const half = read(408_192, 2000)
  const halves = Array.from(new Uint16Array(half.buffer, half.byteOffset, 1000), decodeFloat16)
  expect(Math.max(...halves.map(Math.abs))).toBeLessThanOrEqual(1 / 32)
  expect(new Set(read(410_192, 3000)).size).toBe(256)
})

it.each([
  ['of a type that cannot be made up', { type: 'int64', length: 8 } as const],
  ['that are too large', { type: 'float32', length: 2 ** 29 } as const],
])('a graph with weights %s gets no files', (_, weight) => {
  expect(createArtificialFiles(createGraph([{ name: 'weight', offset: 0, ...weight }]))).toBeUndefined()
})
