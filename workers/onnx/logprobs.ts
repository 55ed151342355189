import type { TokenLogprob, TokenLogprobs } from '../../lib/contract/worker-api.js'
import type { Tokenizer } from '../text/tokenizer.js'
import type { Ranking } from './ranking.js'

/**
 * Describes the tokens of a step with their log-probabilities: the log-softmax of the logits.
 * @param tokenId the token that was sampled
 */
export function describeRanking(
  { logSum, chosenLogit, top }: Ranking,
  tokenId: number,
  tokenizer: Pick<Tokenizer, 'decode' | 'readBytes'>,
): TokenLogprobs {
  const describe = (id: number, logit: number): TokenLogprob => {
    const text = tokenizer.decode([id])
    return {
      tokenId: id,
      text,
      ...(text.includes('\uFFFD') && { bytes: tokenizer.readBytes(id) }),
      logprob: logit - logSum,
    }
  }
  return { ...describe(tokenId, chosenLogit), top: top.map(({ id, logit }) => describe(id, logit)) }
}
