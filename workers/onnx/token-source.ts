import type { AnswerForm } from './answer-form.js'
import type { Decoder } from './decoder.js'
import { computeFrom, type PrefillInput } from './prefill.js'

/** Brings the tokens of an answer: those that its form forces, and those that the model chooses. */
export interface TokenSource {
  /** Returns the token at `position` of the answer. @param willContinue as in `Decoder` */
  next(position: number, willContinue: boolean): Promise<number>
}

/**
 * Creates the source of an answer's tokens. The model computes forced tokens together, in as few runs as the graph allows.
 * @param computed the tokens that the decoder has computed
 */
export function createTokenSource(
  decoder: Decoder,
  form: AnswerForm | undefined,
  computed: PrefillInput,
  signal: AbortSignal,
): TokenSource {
  if (!form) return decoder
  const ids = [...computed.ids]
  let computedLength = ids.length
  let hasForced = false

  async function chooseToken(position: number, { findMask }: AnswerForm): Promise<number> {
    if (hasForced) await computeFrom(decoder, { ...computed, ids }, computedLength, signal)
    hasForced = false
    // The decoder computes the token that it has sampled before.
    computedLength = ids.length
    return decoder.next(position, false, findMask)
  }

  return {
    async next(position) {
      const forced = await form.takeForced()
      if (forced !== undefined) decoder.append([forced])
      hasForced ||= forced !== undefined
      const id = forced ?? (await chooseToken(position, form))
      ids.push(id)
      form.accept(id)
      return id
    },
  }
}
