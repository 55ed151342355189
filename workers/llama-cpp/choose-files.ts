import { RivuletError } from '../../lib/contract/errors.js'
import { ggufPartPattern, ggufPattern, listGgufParts } from '../../lib/contract/gguf-name.js'
import type { OpenModelFolder } from '../store/model-folder.js'

/** Quantizations in order of preference: llama.cpp's default first, then others of similar size. */
const quantizations = ['Q4_K_M', 'Q4_K_S', 'Q4_0', 'Q4_1', 'Q5_K_M', 'IQ4_NL', 'IQ4_XS', 'Q8_0', 'F16']

/**
 * Chooses the model's file, or all of its parts in order.
 * @param named the file that the model source names; if undefined, a file with 4 to 5 bits per weight is preferred
 * @throws RivuletError `model-not-found`, `invalid-option`
 */
export async function chooseFiles(
  folder: Pick<OpenModelFolder, 'url' | 'list'>,
  named: string | undefined,
): Promise<readonly string[]> {
  return listGgufParts(named ?? chooseFile(folder.url, await folder.list()))
}

function chooseFile(url: string, paths: readonly string[]): string {
  // `mmproj` files are vision encoders, not models.
  const models = paths.filter((path) => ggufPattern.test(path) && !/mmproj/i.test(path)).toSorted()
  const firstParts = models.filter((path) => Number(ggufPartPattern.exec(path)?.groups?.index ?? 1) === 1)
  const rank = (path: string) => {
    const found = quantizations.findIndex((name) => new RegExp(`[-._]${name}\\b`, 'i').test(path))
    return found === -1 ? quantizations.length : found
  }
  const [best] = firstParts.toSorted((a, b) => rank(a) - rank(b))
  if (best !== undefined) return best
  throw paths.length === 0
    ? new RivuletError(
        'invalid-option',
        `llamaCpp() cannot list the files of ${url}. Name the GGUF file in "model", such as ${url}model.gguf.`,
      )
    : new RivuletError('model-not-found', `${url} contains no GGUF file.`)
}
