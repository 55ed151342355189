import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelFolder } from '../store/model-folder.js'
import { openBytes } from '../store/readable-file.js'

/** Opens a folder on disk, for Node, as the model folder that the backend reads. */
export function openDiskFolder(path: string): ModelFolder {
  const read = (file: string) =>
    existsSync(join(path, file)) ? new Uint8Array(readFileSync(join(path, file))) : undefined
  const readText = (file: string) => {
    const bytes = read(file)
    return bytes && new TextDecoder().decode(bytes)
  }
  return {
    url: path,
    has: (file) => Promise.resolve(existsSync(join(path, file))),
    openFile: (file) => {
      const bytes = read(file)
      return Promise.resolve(bytes && openBytes(bytes))
    },
    readText: (file) => Promise.resolve(readText(file)),
    readJson: (file) => Promise.resolve(JSON.parse(readText(file) ?? 'null') ?? undefined),
  }
}
