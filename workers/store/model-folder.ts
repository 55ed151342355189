import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { LoadProgress } from '../../lib/contract/worker-api.js'
import { fetchFile } from './fetch-file.js'

/** The files of one model. Paths are relative to the model's folder. */
export interface ModelFolder {
  /** Where it is; ends with a slash. */
  readonly url: string
  /** @returns the file's bytes, or undefined where the folder has no such file */
  readBytes(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** @returns the parsed object, or undefined where the folder has no such file */
  readJson(path: string): Promise<Record<string, unknown> | undefined>
  /** @returns the file's text, or undefined where the folder has no such file */
  readText(path: string): Promise<string | undefined>
}

/**
 * A folder behind a URL that ends with a slash. What is read counts into `onProgress` from the first byte on.
 * Its methods throw RivuletError `download-failed`, `readJson` also `model-invalid`; or the reason of `signal`.
 */
export function openModelFolder(
  url: string,
  { onProgress, signal }: { onProgress: (progress: LoadProgress) => void; signal: AbortSignal },
): ModelFolder {
  const files = new Map<string, { loadedBytes: number; totalBytes: number }>()

  async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return fetchFile(new URL(path, url).href, {
      signal,
      onBytes(loadedBytes, totalBytes = loadedBytes) {
        files.set(path, { loadedBytes, totalBytes })
        onProgress({ phase: 'download', file: path, ...sumBytes([...files.values()]) })
      },
    })
  }

  async function readText(path: string): Promise<string | undefined> {
    const bytes = await readBytes(path)
    return bytes && new TextDecoder().decode(bytes)
  }

  return {
    url,
    readBytes,
    readText,
    async readJson(path) {
      const text = await readText(path)
      return text === undefined ? undefined : parseObject(text, url + path)
    },
  }
}

function sumBytes(files: readonly { loadedBytes: number; totalBytes: number }[]) {
  return {
    loadedBytes: files.reduce((sum, file) => sum + file.loadedBytes, 0),
    totalBytes: files.reduce((sum, file) => sum + file.totalBytes, 0),
  }
}

function parseObject(text: string, url: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new RivuletError('model-invalid', `${url} is not JSON: ${describeError(error)}`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RivuletError('model-invalid', `${url} must hold a JSON object.`)
  }
  return value as Record<string, unknown>
}
