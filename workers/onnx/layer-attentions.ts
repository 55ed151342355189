import { parsePastName } from './graph-names.js'
import type { GraphProto, NodeProto } from './onnx_pb.js'

/** The attention of one layer, as its node in the graph describes it. */
export interface LayerAttention {
  /** The name of the input with the keys of the cache. */
  readonly pastKey: string
  readonly heads: number
  readonly cacheHeads: number
  /** Undefined for the default, 1 / sqrt(head size). */
  readonly scale: number | undefined
  /** The number of columns of the rotary tables that the node reads; undefined if it reads none, or if it is unknown. */
  readonly rotaryWidth: number | undefined
  readonly isInterleaved: boolean
}

/** The positions of inputs of GroupQueryAttention (ONNX Runtime, ContribOperators.md). */
const attentionInputs = { pastKey: 3, cosines: 7, positions: 9, bias: 10, sink: 11 } as const

/** Attributes that change what the node computes, with the values for which they do not. */
const neutralAttributes = new Map<string, number>([
  ['softcap', 0],
  ['smooth_softmax', 0],
  ['local_window_size', -1],
  ['qk_output', 0],
  ['kv_cache_bit_width', 0],
])

/** Reads the layers whose attention is a plain softmax over all tokens. Leaves out the others. */
export function readAttentions({ node, input, initializer }: GraphProto): readonly LayerAttention[] {
  const widths = new Map(initializer.map(({ name, dims }) => [name, Number(dims.at(-1) ?? 0n)]))
  for (const { name, type } of input) {
    const dim = type?.value.case === 'tensorType' ? type.value.value.shape?.dim.at(-1)?.value : undefined
    if (dim?.case === 'dimValue') widths.set(name, Number(dim.value))
  }
  return node.filter(isPlain).flatMap((each) => {
    const pastKey = each.input[attentionInputs.pastKey] ?? ''
    const cosines = each.input[attentionInputs.cosines] ?? ''
    return parsePastName(pastKey)
      ? {
          pastKey,
          heads: readNumber(each, 'num_heads'),
          cacheHeads: readNumber(each, 'kv_num_heads'),
          scale: readNumber(each, 'scale') || undefined,
          rotaryWidth: readNumber(each, 'do_rotary') === 1 ? widths.get(cosines) : undefined,
          isInterleaved: readNumber(each, 'rotary_interleaved') === 1,
        }
      : []
  })
}

function isPlain(node: NodeProto): boolean {
  const { positions, bias, sink } = attentionInputs
  return (
    node.opType === 'GroupQueryAttention' &&
    ![positions, bias, sink].some((place) => node.input[place]) &&
    [...neutralAttributes].every(([name, value]) => readNumber(node, name, value) === value)
  )
}

/** Reads a numeric attribute. One of `i` and `f` is 0. */
function readNumber({ attribute }: NodeProto, name: string, missing = 0): number {
  const found = attribute.find((each) => each.name === name)
  return found ? Number(found.i) || found.f : missing
}
