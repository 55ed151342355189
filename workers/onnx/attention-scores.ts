import { computePath, keepingOperators, readUniform } from './data-flow.js'
import type { Probe, Probes } from './graph-probes.js'
import type { NodeProto } from './onnx_pb.js'
import { createValue } from './tensor-value.js'

/** The reason why attention stays as it is, if it is not as in `GroupQueryAttention`. */
export const unknownForm = 'its attention has an unknown form'

/** What happens to the product of queries and keys before the softmax. */
export interface Scores {
  readonly scale: number
  /** The number of tokens that each token reads, or undefined for all tokens up to itself. */
  readonly window: number | undefined
  /** The nodes that compute the mask, if it also has a bias: from the product to the softmax. */
  readonly bias:
    | { readonly product: string; readonly nodes: readonly NodeProto[]; readonly result: string }
    | undefined
}

/** The nodes from the product of queries and keys to the softmax. */
export interface ScoreSteps {
  readonly product: NodeProto
  readonly nodes: readonly NodeProto[]
  readonly result: string
}

/** Scores that are smaller by this much get the probability 0. Older exporters use finite numbers instead of -Infinity. */
const hidden = -10_000

/** True for the score of a token that the mask hides. */
export function isHidden(score: number): boolean {
  return score <= hidden
}

/** Reads the scale and the mask. Returns the reason if they cannot be read. */
export function readScores({ product, nodes, result }: ScoreSteps, probes: Probes): Scores | string {
  // A soft cap, as in Gemma 2.
  if (nodes.some(({ opType }) => opType === 'Tanh')) return 'ONNX Runtime ignores a soft cap on WebGPU'
  const productName = product.output[0] ?? ''
  const path: ScorePath = {
    nodes,
    from: productName,
    to: result,
    type: probes.small.values.get(productName)?.type ?? 0,
    // If the shape of the product is changed, its heads must be computed. Otherwise all heads have the same mask.
    isReshaped: nodes.some(({ opType }) => opType !== 'Cast' && keepingOperators.has(opType)),
  }
  const scale = readFactor(path, probes.small)
  if (scale === undefined) return unknownForm
  const mask = readMask(path, probes)
  if (mask === undefined) return 'its attention mask is not causal'
  return {
    scale,
    window: mask === 'bias' ? undefined : mask.window,
    bias: mask === 'bias' ? { product: productName, nodes, result } : undefined,
  }
}

/** The nodes from a tensor to another one, between the product and the softmax. */
interface ScorePath {
  readonly nodes: readonly NodeProto[]
  readonly from: string
  readonly to: string
  readonly type: number
  readonly isReshaped: boolean
}

/** Computes the end of a path whose start has equal elements. */
function computeScores(
  { nodes, from, to, type, isReshaped }: ScorePath,
  element: number,
  { values, newTokens, pastTokens }: Probe,
): Float64Array | undefined {
  const dims = isReshaped ? (values.get(from)?.dims ?? []) : [1, 1, newTokens, pastTokens + newTokens]
  const count = dims.reduce((size, each) => size * each, 1)
  const start = createValue(type, dims, () => new Float64Array(count).fill(element))
  const scores = computePath(nodes, [from, start], values).get(to)?.read()
  return scores && Float64Array.from(scores)
}

/** Reads the positive factor that all visible scores are multiplied with. */
function readFactor(path: ScorePath, probe: Probe): number | undefined {
  const [zeros, ones] = [0, 1].map((element) => computeScores(path, element, probe))
  if (!zeros || !ones) return undefined
  const factors = ones.map((one, index) => roundFloat(one - zeros[index]!))
  const visible = factors.filter((_, index) => !isHidden(zeros[index]!))
  const factor = readUniform(createValue(path.type, [visible.length], () => visible))
  return factor !== undefined && factor > 0 ? factor : undefined
}

/** Removes the rounding error of a difference. */
function roundFloat(difference: number): number {
  return Number(difference.toPrecision(9))
}

/**
 * Reads the mask from the scores of products that are 0.
 * @returns `bias` if no token reads a later one, but the mask is not only a window; undefined if the mask is another one
 */
function readMask(
  path: ScorePath,
  probes: Probes,
): { readonly window: number | undefined } | 'bias' | undefined {
  const read = (probe: Probe) => readProbedMask(computeScores(path, 0, probe), probe)
  const masks = probes.all.map(read)
  if (masks.includes(undefined)) return undefined
  const window = masks.find((mask) => mask?.exact !== undefined)?.exact
  if (window !== undefined)
    for (const pastTokens of [Math.max(window - 2, 0), 2 * window + 1])
      masks.push(read(probes.probe({ newTokens: 4, pastTokens })))
  const agree = masks.every(
    (mask) => mask?.isWindow && (mask.exact ?? window) === window && mask.atLeast <= (window ?? Infinity),
  )
  return agree ? { window } : 'bias'
}

/** The mask in one run. No token reads a later one. */
interface ProbedMask {
  /** True if each token reads the tokens of a window that ends at itself, and their scores are unchanged. */
  readonly isWindow: boolean
  /** The number of tokens in the window, if it hides some earlier token. */
  readonly exact: number | undefined
  /** The number of tokens that the window has at least. */
  readonly atLeast: number
}

/** Returns undefined if a token reads a later one, or if the mask is unknown. */
function readProbedMask(
  scores: Float64Array | undefined,
  { newTokens, pastTokens }: Probe,
): ProbedMask | undefined {
  const total = newTokens + pastTokens
  if (!scores || scores.length % (newTokens * total) !== 0) return undefined
  const windows = new Set<number>()
  let isWindow = true
  let atLeast = 0
  for (let row = 0; row < scores.length / total; row += 1) {
    const token = pastTokens + (row % newTokens)
    const tokens = scores.subarray(row * total, (row + 1) * total)
    if (!tokens.subarray(token + 1).every(isHidden)) return undefined
    const first = tokens.subarray(0, token).findLastIndex((score) => score !== 0) + 1
    isWindow &&= tokens[token] === 0 && tokens.subarray(0, first).every(isHidden)
    atLeast = Math.max(atLeast, token - first + 1)
    if (first > 0) windows.add(token - first + 1)
  }
  return { isWindow: isWindow && windows.size <= 1, exact: [...windows][0], atLeast }
}
