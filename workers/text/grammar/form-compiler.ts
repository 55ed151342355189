import type { OptionName } from '../../../lib/contract/option-table.js'
import type { Tokenizer } from '../tokenizer.js'
import type { FormMatcher, GrammarEngine, LoadGrammarEngine } from './grammar-engine.js'
import { listTokenBytes } from './list-token-bytes.js'
import { createMarkCodes, type MarkCodes } from './mark-codes.js'
import type { TagFormat } from './tag-format.js'

/** Compiles forms for the tokens of one model. */
export interface FormCompiler {
  /**
   * Loads the engine and prepares the model's tokens, if that has not happened yet, and compiles the form.
   * @param option the option that demands the form, for errors
   * @param marks the texts of control tokens that the form contains. No other control token is possible in a form
   * @throws RivuletError `invalid-option` if the form cannot be held; `backend-unavailable` if the engine cannot be loaded
   */
  compile(form: TagFormat, option: OptionName, marks?: readonly string[]): Promise<MarkedForm>
}

/** A compiled form, in whose texts the control tokens have characters of their own. */
interface MarkedForm {
  readonly codes: MarkCodes
  createMatcher(): Promise<FormMatcher>
}

/** @param endIds the tokens that end an answer */
export function createFormCompiler(
  load: LoadGrammarEngine,
  tokenizer: Tokenizer,
  endIds: ReadonlySet<number>,
): FormCompiler {
  const engines = new Map<string, Promise<GrammarEngine>>()

  function open(codes: MarkCodes): Promise<GrammarEngine> {
    const key = JSON.stringify([...codes.characters])
    const opening = engines.get(key) ?? prepare(codes)
    engines.set(key, opening)
    // A failed download can succeed later.
    opening.catch(() => engines.delete(key))
    return opening
  }

  async function prepare({ characters }: MarkCodes): Promise<GrammarEngine> {
    const tokens = [...listTokenBytes(tokenizer)]
    for (const [id, character] of characters) tokens[id] = Array.from(encoder.encode(character))
    return load({
      tokens,
      endIds: new Set([...endIds].filter((id) => id < tokens.length)),
      hasMarks: characters.size > 0,
    })
  }

  return {
    async compile(form, option, marks = []) {
      const codes = createMarkCodes(marks, tokenizer)
      const compiled = await (await open(codes)).compile(codes.encodeForm(form), option)
      return { codes, createMatcher: () => compiled.createMatcher() }
    },
  }
}

const encoder = new TextEncoder()
