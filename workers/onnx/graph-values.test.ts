import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { createInt64Tensor, createNode } from './graph-edit.js'
import { graphInputs } from './graph-names.js'
import { computeValues } from './graph-values.js'
import { GraphProtoSchema, TensorProtoSchema, type NodeProto, type TensorProto } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

const dims = (...sizes: (number | string)[]) => ({
  dim: sizes.map((value) => ({
    value:
      typeof value === 'number'
        ? { case: 'dimValue' as const, value: BigInt(value) }
        : { case: 'dimParam' as const, value },
  })),
})
const declare = (name: string, elemType: number, ...sizes: (number | string)[]) => ({
  name,
  type: { value: { case: 'tensorType' as const, value: { elemType, shape: dims(...sizes) } } },
})

const input = [
  declare(graphInputs.tokenIds, tensorTypes.int64, 'batch', 'length'),
  declare(graphInputs.attentionMask, tensorTypes.int64, 'batch', 'total'),
  declare(graphInputs.positionIds, tensorTypes.int64, 'batch', 'length'),
  declare('past_key_values.0.key', tensorTypes.float32, 'batch', 2, 'past', 'size'),
]
const int64 = (name: string, ...values: number[]) => createInt64Tensor(name, values)
const float32 = (name: string, sizes: number[], ...values: number[]) =>
  create(TensorProtoSchema, {
    name,
    dims: sizes.map(BigInt),
    dataType: tensorTypes.float32,
    rawData: new Uint8Array(Float32Array.from(values).buffer),
  })
const lengths = { newTokens: 3, pastTokens: 2 }

/** Computes the output `y` of the last node, after 2 tokens, for 3 new ones. The head size is 4. */
function compute(node: readonly NodeProto[], initializer: readonly TensorProto[] = []) {
  const graph = create(GraphProtoSchema, { input, node: [...node], initializer: [...initializer] })
  const value = computeValues(graph, lengths, { heads: undefined, headSize: 4 }).get('y')
  const elements = value?.read()
  return value && { dims: value.dims, elements: elements && Array.from(elements) }
}

const y = (opType: string, inputs: readonly string[], attributes = {}) =>
  createNode(opType, inputs, ['y'], attributes)

describe('the inputs of a run have known shapes, and known elements except the token ids', () => {
  it.each([
    [graphInputs.tokenIds, [1, 3], undefined],
    [graphInputs.attentionMask, [1, 5], [1, 1, 1, 1, 1]],
    [graphInputs.positionIds, [1, 3], [2, 3, 4]],
    ['past_key_values.0.key', [1, 2, 2, 4], undefined],
  ])('%s', (name, expected, elements) => {
    expect(compute([y('Identity', [name])])).toEqual({ dims: expected, elements })
  })
})

/** [2, 3] */
const matrix = float32('matrix', [2, 3], 1, 2, 3, 4, 5, 6)

describe('operators', () => {
  const starts = int64('starts', 1)
  const cases: [string, NodeProto, readonly TensorProto[], number[], number[] | undefined][] = [
    ['Shape', y('Shape', ['past_key_values.0.key']), [], [4], [1, 2, 2, 4]],
    ['Transpose', y('Transpose', ['matrix'], { perm: [1n, 0n] }), [matrix], [3, 2], [1, 4, 2, 5, 3, 6]],
    ['Reshape', y('Reshape', ['matrix', 's']), [matrix, int64('s', 3, -1)], [3, 2], [1, 2, 3, 4, 5, 6]],
    [
      'Reshape with 0',
      y('Reshape', ['matrix', 's']),
      [matrix, int64('s', 0, 3, 1)],
      [2, 3, 1],
      [1, 2, 3, 4, 5, 6],
    ],
    [
      'Unsqueeze',
      y('Unsqueeze', ['matrix', 'a']),
      [matrix, int64('a', 0, -1)],
      [1, 2, 3, 1],
      [1, 2, 3, 4, 5, 6],
    ],
    ['Squeeze', y('Squeeze', ['m', 'a']), [float32('m', [1, 2], 7, 8), int64('a', 0)], [2], [7, 8]],
    ['Flatten', y('Flatten', ['m'], { axis: 2n }), [float32('m', [1, 2], 7, 8)], [2, 1], [7, 8]],
    [
      'Expand',
      y('Expand', ['m', 's']),
      [float32('m', [2, 1], 7, 8), int64('s', 1, 3)],
      [2, 3],
      [7, 7, 7, 8, 8, 8],
    ],
    [
      'Slice',
      y('Slice', ['matrix', 'starts', 'ends', 'axes']),
      [matrix, starts, int64('ends', 2 ** 40), int64('axes', 1)],
      [2, 2],
      [2, 3, 5, 6],
    ],
    [
      'Slice from the end',
      y('Slice', ['matrix', 'starts', 'ends', 'axes']),
      [matrix, int64('starts', -1), int64('ends', 2 ** 40), int64('axes', -1)],
      [2, 1],
      [3, 6],
    ],
    ['Gather', y('Gather', ['matrix', 'i'], { axis: 1n }), [matrix, int64('i', 2, -3)], [2, 2], [3, 1, 6, 4]],
    [
      'Concat',
      y('Concat', ['matrix', 'matrix'], { axis: -1n }),
      [matrix],
      [2, 6],
      [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6],
    ],
    ['Range', y('Range', ['a', 'b', 'c']), [int64('a', 2), int64('b', 7), int64('c', 2)], [3], [2, 4, 6]],
    [
      'Trilu',
      y('Trilu', ['matrix', 'k'], { upper: 1n }),
      [matrix, int64('k', 1)],
      [2, 3],
      [0, 2, 3, 0, 0, 6],
    ],
    ['Trilu, lower', y('Trilu', ['matrix'], { upper: 0n }), [matrix], [2, 3], [1, 0, 0, 4, 5, 0]],
    ['CumSum', y('CumSum', ['matrix', 'k']), [matrix, int64('k', 1)], [2, 3], [1, 3, 6, 4, 9, 15]],
    [
      'Where',
      y('Where', ['c', 'matrix', 'z']),
      [matrix, int64('c', 1, 0, 1), float32('z', [], -1)],
      [2, 3],
      [1, -1, 3, 4, -1, 6],
    ],
    ['Div of integers', y('Div', ['a', 'b']), [int64('a', -7), int64('b', 2)], [1], [-3]],
    [
      'ReduceSum',
      y('ReduceSum', [graphInputs.attentionMask, 'a'], { keepdims: 0n }),
      [int64('a', 1)],
      [1],
      [5],
    ],
    [
      'ScatterND',
      y('ScatterND', ['matrix', 'i', 'u']),
      [matrix, createInt64Tensor('i', [1, 2, 0, 0], [2, 2]), float32('u', [2], 8, 9)],
      [2, 3],
      [9, 2, 3, 4, 5, 8],
    ],
    ['MatMul', y('MatMul', ['matrix', 'w']), [matrix, float32('w', [3, 1], 1, 1, 1)], [2, 1], undefined],
    ['Softmax', y('Softmax', ['matrix']), [matrix], [2, 3], undefined],
  ]
  it.each(cases)('%s', (_, node, tensors, expected, elements) => {
    expect(compute([node], tensors)).toEqual({ dims: expected, elements })
  })

  it('Split', () => {
    const node = createNode('Split', ['matrix', 's'], ['x', 'y'], { axis: 1n })
    expect(compute([node], [matrix, int64('s', 1, 2)])).toEqual({ dims: [2, 2], elements: [2, 3, 5, 6] })
  })
})

describe('a value is unknown', () => {
  it.each<[string, NodeProto[], TensorProto[]]>([
    ['if the operator is unknown', [y('Hardmax', ['matrix'])], [matrix]],
    ['if an input is unknown', [y('Neg', ['x'])], []],
    ['if the shape depends on the tokens', [y('Reshape', ['matrix', graphInputs.tokenIds])], [matrix]],
    ['if the shapes do not fit', [y('Add', ['matrix', 's'])], [matrix, int64('s', 1, 2)]],
    ['if the size is invalid', [y('ConstantOfShape', ['s'])], [int64('s', -2)]],
    ['in a cycle', [createNode('Neg', ['y'], ['x']), y('Neg', ['x'])], []],
  ])('%s', (_, nodes, tensors) => {
    expect(compute(nodes, tensors)).toBeUndefined()
  })

  it('but not its shape, if it has too many elements', () => {
    const value = compute([y('ConstantOfShape', ['s'])], [int64('s', 2 ** 40)])
    expect(value).toEqual({ dims: [2 ** 40], elements: undefined })
  })

  it('if a constant is not as long as its shape', () => {
    expect(compute([y('Identity', ['m'])], [float32('m', [3], 1, 2)])).toEqual({
      dims: [3],
      elements: undefined,
    })
  })
})
