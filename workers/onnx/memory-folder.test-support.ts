import type { ModelFolder } from '../store/model-folder.js'

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
    async readBytes(path) {
      requested.push(path)
      if (path in files) found.push(path)
      return files[path]
    },
    readJson: () => Promise.resolve({ ...config }),
    readText: () => Promise.reject(new Error('Weights are not text.')),
  }
  return { folder, requested, found }
}
