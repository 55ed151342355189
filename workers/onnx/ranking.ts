/** The most tokens that a ranking has: OpenAI's limit for `top_logprobs`. */
export const mostRanked = 20

/** The likeliest tokens after a step, by its logits before penalties, bias, mask and temperature. */
export interface Ranking {
  /** log(Σ exp(logit)) over the vocabulary. */
  readonly logSum: number
  /** The logit of the token that was chosen. */
  readonly chosenLogit: number
  /** The likeliest tokens, starting with the likeliest; ties are ordered by id. */
  readonly top: readonly RankedToken[]
}

export interface RankedToken {
  readonly id: number
  readonly logit: number
}

/**
 * Ranks the tokens on the CPU.
 * @param logits [vocabulary]
 * @param chosenId the token that was sampled from them
 * @param count the number of tokens in `top`, from 0 to `mostRanked`
 */
export function rankLogits(logits: Float32Array, chosenId: number, count: number): Ranking {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity)
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0)
  return {
    logSum: largest + Math.log(sum),
    chosenLogit: logits[chosenId] ?? -Infinity,
    top: findLargest(logits, count).map((id) => ({ id, logit: logits[id]! })),
  }
}

/** Returns the ids of the `count` largest logits; ties are ordered by id. A sorted list is enough for a small `count`. */
function findLargest(logits: Float32Array, count: number): number[] {
  const best: number[] = []
  if (count === 0) return best
  for (const [id, logit] of logits.entries()) {
    if (best.length === count && logit <= logits[best[count - 1]!]!) continue
    let rank = best.length
    while (rank > 0 && logit > logits[best[rank - 1]!]!) rank -= 1
    best.splice(rank, 0, id)
    if (best.length > count) best.pop()
  }
  return best
}
