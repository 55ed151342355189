import { RivuletError } from '../../lib/contract/errors.js'
import {
  brokenKey,
  computeNoise,
  computeNumbers,
  drawBits,
  maskedKey,
  noToken,
  scramblePosition,
  toBits,
  toKey,
  toLogit,
  unreachable,
  type SamplingNumbers,
} from './sampler-arithmetic.js'
import { truncateTokens } from './truncate-tokens.js'

/**
 * The options for sampling a token; `SamplingOptions` documents each one. Options that a model's files never contain are
 * optional.
 */
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

/** The options that always choose the likeliest token, without penalties. */
export const greedy: Sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }

/** One bit for each token, 32 in a word: the token can be chosen if its bit is set. Missing words have no bits set. */
export type TokenMask = Int32Array

/** The tokens that the penalties apply to. */
export interface TokenHistory {
  readonly prompt: ReadonlySet<number>
  /** How often each token occurs in the answer so far. */
  readonly counts: ReadonlyMap<number, number>
  /** Adds a token of the answer. */
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
 * Samples the next token. With `temperature: 0`, chooses the likeliest token; otherwise draws from the truncated
 * distribution. The options apply in the order of transformers' `LogitsProcessorList`: penalties, bias, temperature, top-k,
 * top-p, min-p. Ties are ordered by id. Uses the Gumbel-max trick, so there is no cumulative sum, and each token's random
 * number depends only on the seed, the position and the token. `createGpuSampler` chooses the same tokens for the same
 * logits.
 * @param logits [vocabulary]; not modified
 * @param history the earlier tokens; not modified: the caller adds the sampled token
 * @param seed an integer from 0 to 2^32 - 1
 * @param position the number of tokens in the answer so far
 * @param mask the tokens that can be chosen, as in `FormMatcher`; all if undefined
 * @returns the id of the token, or `noToken` if a logit is NaN or +Infinity, or all logits are -Infinity or masked
 * @throws RivuletError `invalid-option` if `logitBias` names a token outside the vocabulary
 */
export function sampleToken(
  logits: Float32Array,
  sampling: Sampling,
  history: TokenHistory,
  seed: number,
  position: number,
  mask?: TokenMask,
): number {
  const numbers = computeNumbers(sampling, logits.length)
  const keys = computeKeys(logits, sampling, history, numbers)
  if (mask) maskKeys(keys, mask)
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
  if (isTruncated) truncateTokens(keys, largest, numbers).forEach(compete)
  else keys.forEach((key, id) => key !== maskedKey && compete(id))
  return best
}

/**
 * Returns the tokens of `logitBias` (OpenAI's `logit_bias`) with their biases.
 * @throws RivuletError `invalid-option` if a token is outside the vocabulary
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

/** Applies penalties and bias, and converts the logits to keys. */
function computeKeys(
  logits: Float32Array,
  sampling: Sampling,
  { prompt, counts }: TokenHistory,
  { penalty, reward, frequency, presence }: SamplingNumbers,
): Uint32Array {
  const { fround } = Math
  const bits = new Uint32Array(logits.buffer, logits.byteOffset, logits.length)
  const keys = new Uint32Array(logits.length)
  // A loop: `map` calls a function for each token.
  for (let id = 0; id < keys.length; id += 1) keys[id] = toKey(bits[id]!)
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

/** Masks the tokens whose bits are not set. A broken key stays, so that invalid logits are found in any case. */
function maskKeys(keys: Uint32Array, mask: TokenMask): void {
  for (let id = 0; id < keys.length; id += 1) {
    const isAllowed = ((mask[id >>> 5] ?? 0) >>> (id & 31)) & 1
    if (!isAllowed && keys[id] !== brokenKey) keys[id] = maskedKey
  }
}
