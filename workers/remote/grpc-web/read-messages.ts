import { RivuletError } from '../../../lib/contract/errors.js'
import type { EngineClient } from './engine-client.js'
import type { describeGeneration } from './describe-generation.js'
import type { OutputLogProbs } from './vllm_engine_pb.js'

/** The tokens of one message. */
export interface TokenBatch {
  readonly tokenIds: readonly number[]
  readonly logprobs: OutputLogProbs | undefined
  /** How many tokens of the prompt were in the server's KV cache. */
  readonly cachedTokens: number
}

/**
 * Reads the messages of one request. A request that is left before its last message is ended on the server: a proxy may not
 * pass on that the connection was closed.
 * @returns vLLM's finish reason. After it, the connection may break: no token can be missing
 * @throws RivuletError as `EngineClient.generate`; `connection-failed` without a last message
 */
export async function* readMessages(
  client: EngineClient,
  generation: ReturnType<typeof describeGeneration>,
  timeoutMs: number,
  signal: AbortSignal,
): AsyncGenerator<TokenBatch, string, undefined> {
  let finishReason: string | undefined
  let hasChunks = false
  try {
    for await (const { response } of client.generate(generation, timeoutMs, signal)) {
      if (response.case === 'chunk') {
        const { tokenIds, outputLogprobs, cachedTokens } = response.value
        hasChunks = true
        yield { tokenIds, logprobs: outputLogprobs, cachedTokens }
      } else if (response.case === 'complete') {
        const { outputIds, outputLogprobs, cachedTokens } = response.value
        // After chunks, vLLM repeats the tokens of the last one here.
        if (!hasChunks) yield { tokenIds: outputIds, logprobs: outputLogprobs, cachedTokens }
        ;({ finishReason } = response.value)
      }
    }
  } catch (error) {
    if (finishReason === undefined || !client.isBroken(error)) throw error
  } finally {
    if (finishReason === undefined) client.abort(generation.requestId)
  }
  if (finishReason !== undefined) return finishReason
  throw new RivuletError(
    'connection-failed',
    'The answer is incomplete: the server ended the stream before its last message. Retry.',
  )
}
