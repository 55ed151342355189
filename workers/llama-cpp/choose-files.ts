import { RivuletError } from '../../lib/contract/errors.js'
import { ggufPartPattern, ggufPattern, listGgufParts } from '../../lib/contract/gguf-name.js'
import { isGguf } from '../gguf-magic.js'
import type { OpenModelFolder } from '../store/model-folder.js'

/** Quantizations in order of preference: llama.cpp's default first, then others of similar size. */
const quantizations = ['Q4_K_M', 'Q4_K_S', 'Q4_0', 'Q4_1', 'Q5_K_M', 'IQ4_NL', 'IQ4_XS', 'Q8_0', 'F16']

/**
 * Chooses the model's file, or all of its parts in order. Among the user's files, a file without `.gguf` in its name is found
 * by its first bytes.
 * @param named the file that the model source names; if undefined, a file with 4 to 5 bits per weight is preferred
 * @throws RivuletError `model-not-found`, `invalid-option`
 */
export async function chooseFiles(
  folder: Pick<OpenModelFolder, 'url' | 'list' | 'readBlob'>,
  named: string | undefined,
  isLocal: boolean,
): Promise<readonly string[]> {
  if (named !== undefined) return listGgufParts(named)
  const paths = await folder.list()
  if (isLocal && !paths.some((path) => ggufPattern.test(path))) {
    for (const path of paths) {
      const file = await folder.readBlob(path)
      if (file && (await isGguf(file))) return [path]
    }
  }
  return listGgufParts(chooseFile(folder.url, paths))
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
    : new RivuletError(
        'model-not-found',
        `${url} contains no GGUF file.${paths.some((path) => path.endsWith('.onnx')) ? ' It contains an ONNX model: use onnx().' : ''}`,
      )
}
