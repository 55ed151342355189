import type { OptionName } from '../../../lib/contract/option-table.js'
import type { Tokenizer } from '../tokenizer.js'
import type { CompiledForm, GrammarEngine, LoadGrammarEngine } from './grammar-engine.js'
import { listTokenBytes } from './list-token-bytes.js'
import type { TagFormat } from './tag-format.js'

/** Compiles forms for the tokens of one model. */
export interface FormCompiler {
  /**
   * Loads the engine and prepares the model's tokens, if that has not happened yet, and compiles the form.
   * @param option the option that demands the form, for errors
   * @param marks the texts of control tokens that the form contains. No other control token is possible in a form
   * @throws RivuletError `invalid-option` if the form cannot be held; `backend-unavailable` if the engine cannot be loaded
   */
  compile(form: TagFormat, option: OptionName, marks?: readonly string[]): Promise<CompiledForm>
}

/** @param endIds the tokens that end an answer */
export function createFormCompiler(
  load: LoadGrammarEngine,
  tokenizer: Tokenizer,
  endIds: ReadonlySet<number>,
): FormCompiler {
  const engines = new Map<string, Promise<GrammarEngine>>()

  function open(marks: readonly string[]): Promise<GrammarEngine> {
    const key = JSON.stringify(marks)
    const opening = engines.get(key) ?? prepare(marks)
    engines.set(key, opening)
    // A failed download can succeed later.
    opening.catch(() => engines.delete(key))
    return opening
  }

  async function prepare(marks: readonly string[]): Promise<GrammarEngine> {
    const tokens = [...listTokenBytes(tokenizer)]
    for (const mark of marks) {
      const id = tokenizer.findId(mark)
      if (id !== undefined) tokens[id] = Array.from(encoder.encode(mark))
    }
    return load({ tokens, endIds: new Set([...endIds].filter((id) => id < tokens.length)) })
  }

  return {
    compile: async (form, option, marks = []) => (await open(marks)).compile(form, option),
  }
}

const encoder = new TextEncoder()
