import { RivuletError } from '../../../lib/contract/errors.js'
import type { OptionName } from '../../../lib/contract/option-table.js'
import type { TagFormat } from '../grammar/tag-format.js'
import { UnsupportedForm } from '../grammar/unsupported-form.js'
import { composeGrammar } from './compose-grammar.js'
import { continueGrammar } from './continue-grammar.js'
import { writeGbnf } from './write-gbnf.js'
import type { Grammar } from './grammar.js'

/**
 * Returns a form as llama.cpp reads it, from where the answer is.
 * @param form what the whole answer must be
 * @param option the option that demands the form, for errors
 * @param text the answer so far
 * @returns undefined if the text does not fit the form
 * @throws RivuletError `invalid-option` for a form that llama.cpp cannot hold
 */
export type CompileForm = (form: TagFormat, option: OptionName, text: string) => string | undefined

/** The number of grammars that are kept. */
const maxKept = 16

/** Creates the compiler of a loaded model, which keeps the grammars of the forms that were used last. */
export function createFormCompiler(): CompileForm {
  const kept = new Map<string, Grammar>()

  return (form, option, text) => {
    const key = JSON.stringify(form)
    const grammar = kept.get(key) ?? compile(form, option)
    // The map is in the order of the last use.
    kept.delete(key)
    kept.set(key, grammar)
    if (kept.size > maxKept) kept.delete(kept.keys().next().value!)
    const rest = continueGrammar(grammar, text)
    return rest && writeGbnf(rest)
  }
}

function compile(form: TagFormat, option: OptionName): Grammar {
  try {
    return composeGrammar(form)
  } catch (error) {
    if (!(error instanceof UnsupportedForm)) throw error
    throw new RivuletError('invalid-option', `"${option}" cannot be held. ${error.message}`, {
      cause: error,
      details: { option },
    })
  }
}
