import type { ModelFolder } from '../store/model-folder.js'
import { openBytes } from '../store/readable-file.js'
import { readPart } from './external-data.js'
import type { ModelWeights } from './model-weights.js'

/**
 * Stands in for a folder on a server: its files are in memory, and it lists the requested and the found paths.
 * @param config the content of each JSON file
 */
export function createMemoryFolder(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
  config: object = {},
) {
  const requested: string[] = []
  const found: string[] = []
  const folder: ModelFolder = {
    url: 'https://example.com/model/',
    has: (path) => Promise.resolve(path in files),
    async openFile(path) {
      requested.push(path)
      const bytes = files[path]
      if (bytes) found.push(path)
      return bytes && openBytes(bytes)
    },
    readJson: () => Promise.resolve({ ...config }),
    readText: () => Promise.reject(new Error('Weights are not text.')),
  }
  return { folder, requested, found }
}

/** Reads the external files of a model. */
export function readContents({ externalData }: Pick<ModelWeights, 'externalData'>) {
  return externalData.map(({ path, data }) => ({ path, data: readPart(data, 0, data.byteLength) }))
}
