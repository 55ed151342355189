import type * as XGrammar from '@mlc-ai/web-xgrammar'
import { RivuletError, describeError } from '../../../lib/contract/errors.js'
import type { OptionName } from '../../../lib/contract/option-table.js'
import { toByteCharacters } from '../byte-characters.js'
import type { CompiledForm, FormMatcher, GrammarEngine, GrammarVocabulary } from './grammar-engine.js'
import { isUnusedByte, toByteSets } from './byte-sets.js'
import { lowerForm } from './lower-form.js'
import { excludeMarkCodes } from './mark-codes.js'
import type { TagFormat } from './tag-format.js'
import { UnsupportedForm } from './unsupported-form.js'

/** The number of compiled forms that are kept. One can take some megabytes. */
const maxKeptForms = 16

/**
 * Creates an engine on XGrammar (Dong et al. 2024, arXiv 2411.15100), and prepares the vocabulary: up to a second for 128k
 * tokens.
 */
export async function createXgrammarEngine(
  { TokenizerInfo, GrammarCompiler, GrammarMatcher }: typeof XGrammar,
  { tokens, endIds, hasMarks }: GrammarVocabulary,
): Promise<GrammarEngine> {
  // The package takes texts, not bytes. Every byte has its character in a byte-level vocabulary.
  const texts = tokens.map((bytes, id) =>
    bytes && !endIds.has(id) && !bytes.some(isUnusedByte) ? toByteCharacters(bytes) : '',
  )
  const info = await TokenizerInfo.createTokenizerInfo(texts, 'byte_level', false, texts.length, [...endIds])
  const compiler = await GrammarCompiler.createGrammarCompiler(info, false)
  const kept = new Map<string, Promise<CompiledForm>>()

  async function compile(form: TagFormat, option: OptionName): Promise<CompiledForm> {
    try {
      const lowered = lowerForm(form, (rules) => toByteSets(hasMarks ? excludeMarkCodes(rules) : rules))
      const compiled =
        lowered.type === 'grammar'
          ? await compiler.compileGrammar(lowered.grammar)
          : await compiler.compileStructuralTag({
              type: 'structural_tag',
              format: lowered as XGrammar.StructuralTagFormat,
            })
      return {
        createMatcher: async () => wrapMatcher(await GrammarMatcher.createGrammarMatcher(compiled)),
      }
    } catch (error) {
      throw explain(error, option)
    }
  }

  return {
    compile(form, option) {
      const key = JSON.stringify(form)
      const compiling = kept.get(key) ?? compile(form, option)
      // The map is in the order of the last use.
      kept.delete(key)
      kept.set(key, compiling)
      compiling.catch(() => kept.delete(key))
      if (kept.size > maxKeptForms) kept.delete(kept.keys().next().value!)
      return compiling
    },
  }
}

function explain(error: unknown, option: OptionName): RivuletError {
  if (error instanceof UnsupportedForm) {
    const message = `"${option}" cannot be held. ${error.message}`
    return new RivuletError('invalid-option', message, { cause: error, details: { option } })
  }
  const message = `The grammar engine failed: ${describeError(error)}. Load the model again with createEngine().`
  return new RivuletError('generation-failed', message, { cause: error })
}

function wrapMatcher(matcher: XGrammar.GrammarMatcher): FormMatcher {
  return {
    computeMask: () => matcher.getNextTokenBitmask(),
    accept: (id) => matcher.acceptToken(id),
    // The package has no other way to accept a text.
    // oxlint-disable-next-line no-underscore-dangle
    acceptText: (text) => text === '' || matcher._acceptString(text),
    rollback: (tokens) => matcher.rollBack(tokens),
    findForcedText: () => matcher.findJumpForwardString(),
    get isTerminated() {
      return matcher.isTerminated()
    },
    release: () => matcher.dispose(),
  }
}
