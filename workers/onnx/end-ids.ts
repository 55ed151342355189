import { RivuletError } from '../../lib/contract/errors.js'
import { readToken } from '../text/find-chat-template.js'
import type { Tokenizer } from '../text/tokenizer.js'

/** The configuration files that can name end-of-sequence tokens. */
export interface EndSources {
  /** `generation_config.json` */
  readonly generationConfig: Readonly<Record<string, unknown>>
  /** `tokenizer_config.json` */
  readonly tokenizerConfig: Readonly<Record<string, unknown>>
  /** `config.json`, and the `text_config` in it if the model is multimodal. */
  readonly configs: readonly Readonly<Record<string, unknown>>[]
  /** The texts of the option `endTokens`. */
  readonly endTokens: readonly string[]
}

/**
 * Returns the ids of the tokens that end an answer: all that any place names, because published models name some of them in
 * one place only. The places are `eos_token_id` of the configuration files, `eos_token` of `tokenizer_config.json`, the
 * token that the chat template writes after an answer, and the option `endTokens`.
 *
 * transformers reads `generation_config.json` alone if it names any token. An id of `config.json` may then be a leftover:
 * it counts only if it is a control token.
 * @throws RivuletError `invalid-option` if one of `endTokens` is not a token of the model
 */
export function readEndIds(tokenizer: Tokenizer, sources: EndSources): ReadonlySet<number> {
  const generationIds = readIds(sources.generationConfig.eos_token_id)
  const configIds = sources.configs.flatMap((config) => readIds(config.eos_token_id))
  const trustedIds =
    generationIds.length === 0
      ? configIds
      : configIds.filter((id) => tokenizer.readControlText(id) !== undefined)
  const endText = readToken(sources.tokenizerConfig.eos_token)
  const namedId = endText === undefined ? undefined : tokenizer.findId(endText)
  const ids = [
    ...generationIds,
    ...trustedIds,
    namedId,
    tokenizer.endOfTurnId,
    ...sources.endTokens.map((token) => findEndId(tokenizer, token)),
  ]
  return new Set(ids.filter((id) => id !== undefined))
}

/** Reads one id or a list of ids. Leaves out invalid ones. */
function readIds(value: unknown): readonly number[] {
  return [value]
    .flat()
    .filter((id): id is number => typeof id === 'number' && Number.isInteger(id) && id >= 0)
}

function findEndId(tokenizer: Tokenizer, token: string): number {
  const id = tokenizer.findId(token)
  if (id !== undefined) return id
  throw new RivuletError(
    'invalid-option',
    `onnx({ endTokens }) names ${JSON.stringify(token)}, which is not a token of this model. ` +
      'Use the text of one token, as in added_tokens of tokenizer.json.',
    { details: { option: 'endTokens' } },
  )
}
