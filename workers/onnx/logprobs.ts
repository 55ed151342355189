import type { TokenLogprobs } from '../../lib/contract/worker-api.js'
import type { Tokenizer } from '../text/tokenizer.js'

/**
 * Computes log-probabilities: the log-softmax of the logits, before penalties, bias and temperature.
 * @param logits the logits from which `tokenId` was sampled, [vocabulary]
 * @param count the number of likeliest tokens to return, starting with the likeliest
 */
export function computeLogprobs(
  logits: Float32Array,
  tokenId: number,
  count: number,
  tokenizer: Pick<Tokenizer, 'decode' | 'readBytes'>,
): TokenLogprobs {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity)
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0)
  const logSum = largest + Math.log(sum)
  const describe = (id: number) => {
    const text = tokenizer.decode([id])
    return {
      tokenId: id,
      text,
      ...(text.includes('\uFFFD') && { bytes: tokenizer.readBytes(id) }),
      logprob: (logits[id] ?? -Infinity) - logSum,
    }
  }
  return { ...describe(tokenId), top: findLargest(logits, count).map(describe) }
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
