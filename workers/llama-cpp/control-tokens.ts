import { RivuletError } from '../../lib/contract/errors.js'
import type { ChatTemplate } from '../text/chat-template.js'
import { readTurnTokens } from '../text/turn-tokens.js'
import type { GgufHeader } from './gguf-header.js'

/** The tokens of a model that are not text. */
export interface ControlTokens {
  /** The tokens that user text must never become. */
  readonly all: readonly string[]
  /** Tokens that end an answer, in addition to those that llama.cpp knows. */
  readonly end: readonly string[]
  /** The tokens of the type "control" with their ids, without those that end an answer. A form contains them only as marks. */
  readonly forbidden: ReadonlyMap<string, number>
}

/**
 * Lists a model's control tokens: those of the type "control" or "unknown", those that the chat template writes around
 * messages, and `endTokens`. Other user-defined tokens are text, such as Gemma's `<b>` and runs of `▁`.
 * @param endTokens the option `endTokens`
 * @throws RivuletError `invalid-option` if one of `endTokens` is neither a control token nor a user-defined token
 */
export function readControlTokens(
  header: GgufHeader,
  chatTemplate: ChatTemplate | undefined,
  endTokens: readonly string[],
): ControlTokens {
  const { beginToken, endToken, controlTokens, userTokens } = header
  const known = [...controlTokens, ...userTokens]
  const unknown = endTokens.find((token) => !known.includes(token))
  if (unknown !== undefined) {
    throw new RivuletError(
      'invalid-option',
      `llamaCpp({ endTokens }) names ${JSON.stringify(unknown)}, which is not a control token or a user-defined token of ` +
        'this model. Use the text of one token.',
      { details: { option: 'endTokens' } },
    )
  }
  const turns = readTurnTokens(chatTemplate, known)
  const end = [turns.endOfTurn, ...endTokens].filter((token) => token !== undefined)
  const named = [beginToken, endToken].filter((token) => token !== undefined)
  const ends = new Set([endToken, ...end])
  return {
    all: [...new Set([...controlTokens, ...turns.written, ...named, ...end])],
    end,
    forbidden: new Map([...header.controlTokenIds].filter(([token]) => !ends.has(token))),
  }
}
