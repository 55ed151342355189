import type * as XGrammar from '@mlc-ai/web-xgrammar'
import { RivuletError, describeError } from '../../../lib/contract/errors.js'
import type { LoadGrammarEngine } from './grammar-engine.js'
import { createXgrammarEngine } from './xgrammar-engine.js'

/** Loads XGrammar's package. @throws RivuletError `backend-unavailable` if it cannot be loaded */
export const loadXgrammar: LoadGrammarEngine = async (vocabulary) => {
  const module = await import('@mlc-ai/web-xgrammar').catch((error: unknown) => {
    throw new RivuletError(
      'backend-unavailable',
      `@mlc-ai/web-xgrammar could not be loaded: ${describeError(error)} Install the package, and allow its file in the Content-Security-Policy.`,
      { cause: error },
    )
  })
  return createXgrammarEngine(findExports(module), vocabulary)
}

/**
 * Finds the package's exports. Its file is UMD, but its package.json says that it is a module. As a module it exports nothing
 * and sets a global variable; a bundler can also treat it as CommonJS.
 */
function findExports(module: Partial<typeof XGrammar>): typeof XGrammar {
  const { default: defaultExport, GrammarCompiler } = module
  if (GrammarCompiler) return module as typeof XGrammar
  const found = defaultExport ?? (globalThis as { readonly xgrammar?: typeof XGrammar }).xgrammar
  if (found?.GrammarCompiler) return found as typeof XGrammar
  throw new RivuletError(
    'backend-unavailable',
    '@mlc-ai/web-xgrammar was loaded, but its exports were not found. Use the version that rivulet names as its peer.',
  )
}
