import { RivuletError } from '../../lib/contract/errors.js'
import {
  brokenKey,
  computeNoise,
  computeNumbers,
  computeWeight,
  drawBits,
  maskedKey,
  measureExponent,
  noToken,
  scramblePosition,
  toBits,
  toKey,
  toLogit,
  unreachable,
  type SamplingNumbers,
} from './sampler-arithmetic.js'

/** How a token is chosen: `SamplingOptions` says what each number means. What a model's own files never name may be left out. */
export interface Sampling {
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly minP: number
  readonly repetitionPenalty: number
  /** @default 0 */
  readonly frequencyPenalty?: number | undefined
  /** @default 0 */
  readonly presencePenalty?: number | undefined
  /** @default none */
  readonly logitBias?: Readonly<Record<string, number>> | undefined
}

/** Always the likeliest token, of the logits as they are. */
export const greedy: Sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }

/** The tokens that the penalties look at. */
export interface TokenHistory {
  readonly prompt: ReadonlySet<number>
  /** How often the answer has each token so far. */
  readonly counts: ReadonlyMap<number, number>
  /** Takes a token of the answer. */
  add(id: number): void
}

export function createTokenHistory(promptIds: readonly number[]): TokenHistory {
  const counts = new Map<number, number>()
  return {
    prompt: new Set(promptIds),
    counts,
    add: (id) => void counts.set(id, (counts.get(id) ?? 0) + 1),
  }
}

/**
 * Chooses the next token. With `temperature: 0` the likeliest, else a draw from the truncated distribution, in the order
 * of transformers' `LogitsProcessorList`: penalties, bias, temperature, top-k, top-p, min-p; equal logits by id.
 * The draw is the Gumbel-max trick: no sum is run through, and each token's random number depends on nothing but seed,
 * position and token. `createGpuSampler` gives the same tokens for the same logits.
 * @param logits [vocabulary]; left as they are
 * @param history not added to: that is the caller's
 * @param seed an integer from 0 to 2^32 - 1
 * @param position how many tokens of the answer there are
 * @returns `noToken` where a logit is NaN or +Infinity, or all are -Infinity
 * @throws RivuletError `invalid-option` where `logitBias` names a token that the vocabulary has not
 */
export function sampleToken(
  logits: Float32Array,
  sampling: Sampling,
  history: TokenHistory,
  seed: number,
  position: number,
): number {
  const numbers = computeNumbers(sampling, logits.length)
  const keys = computeKeys(logits, sampling, history, numbers)
  const largest = keys.reduce((a, b) => Math.max(a, b), maskedKey)
  if (largest === brokenKey || largest === maskedKey) return noToken
  if (numbers.noiseScale === 0) return keys.indexOf(largest)
  const positionBits = scramblePosition(seed, position)
  let best = noToken
  let bestScore = -Infinity
  const compete = (id: number) => {
    const noise = Math.fround(numbers.noiseScale * computeNoise(drawBits(positionBits, id)))
    const score = Math.fround(toLogit(keys[id]!) + noise)
    if (score < bestScore || (score === bestScore && id > best)) return
    best = id
    bestScore = score
  }
  const isTruncated = numbers.topK > 0 || numbers.topP > 0 || numbers.largestExponent !== unreachable
  if (isTruncated) truncate(keys, largest, numbers).forEach(compete)
  else keys.forEach((key, id) => key !== maskedKey && compete(id))
  return best
}

/**
 * The tokens that OpenAI's `logit_bias` names, and what it adds.
 * @throws RivuletError `invalid-option` where one is not of the vocabulary
 */
export function readLogitBias(
  { logitBias = {} }: Sampling,
  vocabulary: number,
): [id: number, bias: number][] {
  return Object.entries(logitBias).map(([name, bias]) => {
    const id = Number(name)
    if (id < vocabulary) return [id, bias]
    throw new RivuletError(
      'invalid-option',
      `"logitBias" names the token ${name}; this model's tokens are 0 to ${vocabulary - 1}.`,
      { details: { option: 'logitBias' } },
    )
  })
}

/** The logits' keys, penalties and bias applied. */
function computeKeys(
  logits: Float32Array,
  sampling: Sampling,
  { prompt, counts }: TokenHistory,
  { penalty, reward, frequency, presence }: SamplingNumbers,
): Uint32Array {
  const { fround } = Math
  const keys = new Uint32Array(logits.buffer, logits.byteOffset, logits.length).map(toKey)
  const bias = new Map(readLogitBias(sampling, logits.length))
  for (const id of new Set([...prompt, ...counts.keys(), ...bias.keys()])) {
    const key = keys[id]!
    if (key === brokenKey || key === maskedKey) continue
    const count = counts.get(id)
    let logit = toLogit(key)
    if (count || prompt.has(id)) logit = fround(logit * (logit > 0 ? reward : penalty))
    if (count) logit = fround(logit - fround(fround(count * frequency) + presence))
    logit = fround(logit + fround(bias.get(id) ?? 0))
    keys[id] = toKey(toBits(logit))
  }
  return keys
}

/** The tokens that top-k, top-p and min-p leave; never none. */
function truncate(keys: Uint32Array, largest: number, numbers: SamplingNumbers): Uint32Array {
  const measure = (id: number) => measureExponent(keys[id]!, largest, numbers)
  const order = sortDescending(keys, largest, numbers)
  const top = numbers.topK > 0 ? order.subarray(0, numbers.topK) : order
  const nucleus = numbers.topP > 0 ? top.subarray(0, countNucleus(top, measure, numbers.topP)) : top
  return nucleus.filter((id) => measure(id) <= numbers.largestExponent)
}

/**
 * The ids of the reachable keys from the largest to the smallest, equal ones by id.
 * A native sort over one number that holds both.
 */
function sortDescending(keys: Uint32Array, largest: number, numbers: SamplingNumbers): Uint32Array {
  const idSpan = 2 ** 21
  const ranks = new Float64Array(keys.length)
  let count = 0
  for (const [id, key] of keys.entries()) {
    if (measureExponent(key, largest, numbers) !== unreachable)
      ranks[count++] = (brokenKey - key) * idSpan + id
  }
  return Uint32Array.from(ranks.subarray(0, count).toSorted(), (rank) => rank % idSpan)
}

/** How many of the descending tokens it takes to reach top-p. */
function countNucleus(order: Uint32Array, measure: (id: number) => number, topP: number): number {
  const weights = Array.from(order, (id) => computeWeight(measure(id)))
  // Up to 2^21 weights of up to 2^31 each: their sum is exact, the product would not be.
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const enough = Number((BigInt(total) * BigInt(topP)) >> 32n)
  let reached = 0
  return 1 + weights.findIndex((weight) => (reached += weight) >= enough)
}
