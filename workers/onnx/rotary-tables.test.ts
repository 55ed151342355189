import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { graphInputs } from './graph-names.js'
import { GraphProtoSchema, type NodeProtoSchema } from './onnx_pb.js'
import { chooseTable, replaceRotarySwitch } from './rotary-tables.js'
import { tensorTypes } from './tensor-types.js'

const sizes = { heads: undefined, headSize: undefined }
const rotarySwitch = 4

const int64 = (value: bigint) => ({
  dataType: tensorTypes.int64,
  rawData: new Uint8Array(BigInt64Array.of(value).buffer),
})
const constant = (name: string, t: object) => ({
  opType: 'Constant',
  output: [name],
  attribute: [{ name: 'value', t }],
})
/** A table of one column. */
const table = (...values: number[]) => ({
  dims: [BigInt(values.length), 1n],
  dataType: tensorTypes.float32,
  rawData: new Uint8Array(Float32Array.from(values).buffer),
})
const readTable = (bytes: Uint8Array<ArrayBuffer>) => [...new Float32Array(bytes.buffer)]

const branch = (cos: object, sin: object) => ({
  node: [constant('cos', cos), constant('sin', sin)],
  output: [{ name: 'cos' }, { name: 'sin' }],
})
const short = [table(1, 2), table(3, 4)] as const
const long = [table(5, 6, 7), table(8, 9, 10)] as const
const attention = {
  opType: 'GroupQueryAttention',
  input: ['q', '', '', 'k', 'v', 'a', 'b', 'c', 's'],
  output: ['x'],
}

/** As onnxruntime-genai's model builder writes longrope. */
function createGraph(
  comparison = 'Greater',
  branches = [long, short],
  readers: MessageInitShape<typeof NodeProtoSchema>[] = [attention],
) {
  const [thenBranch, elseBranch] = branches.map((tables) => branch(tables[0]!, tables[1]!))
  return create(GraphProtoSchema, {
    input: [
      {
        name: graphInputs.attentionMask,
        type: { value: { case: 'tensorType', value: { elemType: tensorTypes.int64 } } },
      },
    ],
    node: [
      constant('one', int64(1n)),
      constant('limit', int64(BigInt(rotarySwitch))),
      { opType: 'Shape', input: [graphInputs.attentionMask], output: ['shape'] },
      { opType: 'Gather', input: ['shape', 'one'], output: ['total'] },
      { opType: comparison, input: ['total', 'limit'], output: ['condition'] },
      {
        opType: 'If',
        input: ['condition'],
        output: ['c', 's'],
        attribute: [
          { name: 'then_branch', g: thenBranch! },
          { name: 'else_branch', g: elseBranch! },
        ],
      },
      ...readers,
    ],
  })
}

describe('the rotary factors for short and long sequences are inputs', () => {
  it.each([
    ['long if the length is above the limit', 'Greater', [long, short]],
    ['short if the length is at most the limit', 'LessOrEqual', [short, long]],
  ])('%s', (_, comparison, branches) => {
    const graph = createGraph(comparison, branches)
    const tables = replaceRotarySwitch(graph, rotarySwitch, sizes)
    expect(tables.map((each) => [each.type, each.width])).toEqual([
      ['float32', 1],
      ['float32', 1],
    ])
    for (const [length, expected] of [
      [
        rotarySwitch,
        [
          [1, 2],
          [3, 4],
        ],
      ],
      [
        rotarySwitch + 1,
        [
          [5, 6, 7],
          [8, 9, 10],
        ],
      ],
    ] as const)
      expect(tables.map((each) => readTable(chooseTable(each, rotarySwitch, length)))).toEqual(expected)
    expect(graph.node.some(({ opType }) => opType === 'If')).toBe(false)
    const names = tables.map(({ input }) => input)
    expect(graph.input.slice(1).map(({ name }) => name)).toEqual(names)
    expect(graph.node.at(-1)!.input.slice(7)).toEqual(names)
  })
})

describe('the graph stays as it is', () => {
  const cases: [string, () => ReturnType<typeof createGraph>, number][] = [
    ['without a switch', createGraph, Infinity],
    ['if the condition does not change at the switch', createGraph, rotarySwitch + 5],
    [
      'if a table has another width',
      () => createGraph('Greater', [[{ ...table(1, 2), dims: [1n, 2n] }, long[1]], short]),
      rotarySwitch,
    ],
    [
      'if a table has damaged contents',
      () => createGraph('Greater', [[{ ...table(1, 2), dims: [3n, 1n] }, long[1]], short]),
      rotarySwitch,
    ],
    [
      'if something else reads a table',
      () =>
        createGraph(
          'Greater',
          [long, short],
          [attention, { opType: 'Add', input: ['c', 'c'], output: ['y'] }],
        ),
      rotarySwitch,
    ],
  ]
  it.each(cases)('%s', (_, createCase, limit) => {
    const graph = createCase()
    expect(replaceRotarySwitch(graph, limit, sizes)).toEqual([])
    expect(graph).toEqual(createCase())
  })
})
