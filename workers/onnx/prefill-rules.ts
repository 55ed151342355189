import { graphInputs } from './graph-names.js'
import {
  TensorProto_DataType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'

/** The rules for computing a prompt so that it always gives the same tokens, whatever is in the cache. */
export interface PrefillRules {
  /**
   * True if a prompt must be computed in one run, and each token after the prompt in a separate run. The reason: the graph
   * quantizes its activations with one scale for all tokens of a run (or compares the total length with several constants),
   * so other runs give other results. A cached prefix was computed in another run, so it cannot be reused.
   *
   * The one run needs memory for all tokens of the prompt: for the logits, if the graph returns the logits of all
   * positions, and in each layer for the attention scores, which grow with the square of the length. A cancel takes effect
   * after the run.
   */
  readonly wholePrompt: boolean
  /**
   * The largest total length for which the graph computes with its first set of rotary factors; `Infinity` if the graph has
   * only one set. A longer prompt must be computed with the second set from its first token. So the first run of such a
   * prompt has more tokens than `rotarySwitch`, which needs memory as described for `wholePrompt`. And a prefix that was
   * computed with the first set cannot be reused.
   *
   * A token of the answer is computed with the factors for the total length at this token. The tokens before it stay in the
   * cache unchanged. A plain generation loop on ONNX Runtime does the same.
   */
  readonly rotarySwitch: number
}

/**
 * The operators that compute one scale from the whole activation tensor. Optimum's `model_quantized.onnx` has the first
 * operator (https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html). The second operator is ONNX Runtime's fusion
 * of the first operator with the matrix product (ContribOperators.md).
 */
const dynamicQuantizers = new Set(['DynamicQuantizeLinear', 'DynamicQuantizeMatMul'])

/** Reads the rules from the operators of the graph. */
export function readPrefillRules({ graph }: ModelProto): PrefillRules {
  if (!graph) return { wholePrompt: false, rotarySwitch: Infinity }
  const switches = new Set(findLengthSwitches(graph))
  const [rotarySwitch = Infinity] = switches
  return {
    // A single run is correct for any number of length switches.
    wholePrompt: switches.size > 1 || graph.node.some(({ opType }) => dynamicQuantizers.has(opType)),
    rotarySwitch,
  }
}

/**
 * For each comparison of the length with a constant: the number to add to the constant to get the largest length before the
 * comparison changes its result. `first` is for the length as the first operand, `second` for the length as the second.
 */
const comparisons = new Map<string, readonly [first: number, second: number]>([
  ['Greater', [0, -1]],
  ['GreaterOrEqual', [-1, 0]],
  ['Less', [-1, 0]],
  ['LessOrEqual', [0, -1]],
])

/** The operators that keep the value of a scalar. */
const conversions = new Set(['Cast', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze'])

/**
 * Finds the length switches of the graph, which are comparisons of the total length with a constant. Returns the largest
 * length before each switch. onnxruntime-genai's model builder exports longrope (Phi-3.5, Phi-4-mini) this way: an `If` on
 * "length > `original_max_position_embeddings`" selects the rotary factors.
 */
function findLengthSwitches(graph: GraphProto): number[] {
  const producers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node])))
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]))

  function readConstant(name: string): number | undefined {
    const node = producers.get(name)
    const tensor = node?.opType === 'Constant' ? node.attribute.find(({ t }) => t)?.t : tensors.get(name)
    return tensor && readInteger(tensor)
  }

  function isTotalLength(name: string): boolean {
    let node = producers.get(name)
    const seen = new Set<NodeProto>()
    while (node && conversions.has(node.opType) && !seen.has(node)) {
      seen.add(node)
      node = producers.get(node.input[0] ?? '')
    }
    const [source = '', index = ''] = node?.input ?? []
    // There is one sequence, and its attention mask is 1 for each token, so the sum of the mask is the total length.
    if (node?.opType === 'ReduceSum') return source === graphInputs.attentionMask
    if (node?.opType !== 'Gather') return false
    const shape = producers.get(source)
    const isOfMask = shape?.opType === 'Shape' && shape.input[0] === graphInputs.attentionMask
    return isOfMask && [1, -1].includes(readConstant(index) ?? 0)
  }

  return graph.node.flatMap(({ opType, input: [first = '', second = ''] }) => {
    const offsets = comparisons.get(opType)
    if (!offsets) return []
    const [constant, offset] = isTotalLength(first)
      ? [readConstant(second), offsets[0]]
      : [isTotalLength(second) ? readConstant(first) : undefined, offsets[1]]
    return constant === undefined ? [] : [constant + offset]
  })
}

/** Returns the value of a tensor, or undefined if the tensor is not a single integer in the graph's file. */
function readInteger({ dataType, rawData }: TensorProto): number | undefined {
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength)
  if (dataType === TensorProto_DataType.INT32 && view.byteLength === 4) return view.getInt32(0, true)
  if (dataType === TensorProto_DataType.INT64 && view.byteLength === 8)
    return Number(view.getBigInt64(0, true))
  return undefined
}

/** Added to the id of a token that uses the second rotary factors. Larger than all token ids. */
const secondFactors = 2 ** 32

/**
 * Marks the tokens that are computed with the second rotary factors. So a token in the cache equals a requested token only
 * if both are computed with the same factors.
 * @param promptLength the total length that selects the factors for the tokens up to this length; each token after them is
 *   computed with the factors for the total length at this token
 */
export function markTokens(
  rules: PrefillRules,
  ids: readonly number[],
  promptLength: number,
): readonly number[] {
  return ids.map((id, index) =>
    Math.max(promptLength, index + 1) > rules.rotarySwitch ? id + secondFactors : id,
  )
}
