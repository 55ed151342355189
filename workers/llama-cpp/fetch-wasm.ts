import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { fetchRuntimeFile, openRuntime, type RuntimeFetch, type RuntimeFile } from '../store/runtime-file.js'

/** The WebAssembly of the builds of wllama 3.13.0: of `@wllama/wllama`, and of `@wllama/wllama-compat`. */
export const wllamaFiles = {
  default: {
    path: 'wllama.wasm',
    sizeBytes: 10_244_628,
    sha256: '79ac5be917b71d50571a4f584436a9f6baf6b6e57719d094ed8bd950e9a65780',
  },
  compat: {
    path: 'wllama-compat.wasm',
    sizeBytes: 18_755_784,
    sha256: '35df8c1e2f7dbd74b8e8b01054fb9f1fbe86cf566945fbf4cef3965855a8b92e',
  },
} as const satisfies Record<string, RuntimeFile>

const packageName = '@wllama/wllama'

/**
 * Fetches wllama's WebAssembly from the model store or from `url`.
 * @returns its address in this worker, which wllama's own worker can request
 * @throws RivuletError as `fetchRuntimeFile`; `backend-unavailable` if the page's policy forbids such an address
 */
export async function fetchWasm(
  url: string,
  file: RuntimeFile,
  options: Omit<RuntimeFetch, 'packageName' | 'usesHttpCache'>,
): Promise<string> {
  const opened = await openRuntime(packageName, file.path)
  const { blob } = await fetchRuntimeFile(url, file, opened, { ...options, packageName })
  try {
    const response = await fetch(URL.createObjectURL(new Blob()))
    // An unread body would count as a cancelled request.
    await response.arrayBuffer()
  } catch (error) {
    throw new RivuletError(
      'backend-unavailable',
      `The page's CSP does not allow llama.cpp's WebAssembly from the model store. Add connect-src blob:. Reason: ${describeError(error)}`,
      { cause: error },
    )
  }
  return URL.createObjectURL(new Blob([blob], { type: 'application/wasm' }))
}
