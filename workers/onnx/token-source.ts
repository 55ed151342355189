import type { AnswerForm } from './answer-form.js'
import type { Decoder } from './decoder.js'
import { computeFrom, type PrefillInput } from './prefill.js'

/** Brings the tokens of an answer: those that its form forces, and those that the model chooses. */
export interface TokenSource {
  /** Returns the token at `position` of the answer. @param following as in `Decoder.next` */
  next(position: number, following: number): Promise<number>
  /** Adds tokens that the model does not choose. The last call of `next` must have had `following: 0`. */
  add(ids: readonly number[]): void
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
  const ids = [...computed.ids]
  let computedLength = ids.length
  let hasForced = false

  function add(forced: readonly number[]): void {
    decoder.append(forced)
    hasForced ||= forced.length > 0
    for (const id of forced) {
      ids.push(id)
      form?.accept(id)
    }
  }

  async function chooseToken(position: number, following: number): Promise<number> {
    if (hasForced) await computeFrom(decoder, { ...computed, ids }, computedLength, signal)
    hasForced = false
    // The decoder computes the token that it has sampled before.
    computedLength = ids.length
    const id = await decoder.next(position, form ? 0 : following, form?.findMask)
    ids.push(id)
    form?.accept(id)
    return id
  }

  return {
    add,
    async next(position, following) {
      const forced = await form?.takeForced()
      if (forced === undefined) return chooseToken(position, following)
      add([forced])
      return forced
    },
  }
}
