import type { TokenLogprob, TokenLogprobs } from '../../../lib/contract/worker-api.js'
import type { Tokenizer } from '../../text/tokenizer.js'
import type { OutputLogProbs } from './vllm_engine_pb.js'

/**
 * Returns the log-probabilities of tokens, which vLLM computes before penalties, bias and temperature by default.
 * @param count how many of the most likely tokens to return; undefined if none are requested
 * @returns undefined if none are requested, or if the server did not send one for each token
 */
export function readLogprobs(
  sent: OutputLogProbs | undefined,
  tokenIds: readonly number[],
  count: number | undefined,
  tokenizer: Pick<Tokenizer, 'decode' | 'readBytes'>,
): readonly TokenLogprobs[] | undefined {
  if (count === undefined || !sent || tokenIds.some((id, index) => sent.tokenIds[index] !== id))
    return undefined
  const describe = (tokenId: number, logprob: number): TokenLogprob => {
    const text = tokenizer.decode([tokenId])
    return {
      tokenId,
      text,
      ...(text.includes('\uFFFD') && { bytes: tokenizer.readBytes(tokenId) }),
      logprob: Math.min(logprob, 0),
    }
  }
  return tokenIds.map((id, index) => {
    const { tokenIds: topIds, values } = sent.topLogprobs[index] ?? { tokenIds: [], values: [] }
    const top = topIds.map((topId, rank) => describe(topId, values[rank] ?? -Infinity))
    return {
      ...describe(id, sent.tokenLogprobs[index] ?? -Infinity),
      top: top.toSorted((a, b) => b.logprob - a.logprob).slice(0, count),
    }
  })
}
