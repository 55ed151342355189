import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { fetchRuntimeFile, type RuntimeFetch, type RuntimeFile } from '../store/runtime-file.js'

/** The WebAssembly of @wllama/wllama 3.13.0. */
export const wllamaFile = {
  path: 'wllama.wasm',
  sizeBytes: 10_244_628,
  sha256: '79ac5be917b71d50571a4f584436a9f6baf6b6e57719d094ed8bd950e9a65780',
} as const satisfies RuntimeFile

/**
 * Fetches wllama's WebAssembly from the model store or from `url`.
 * @returns its address in this worker, which wllama's own worker can request
 * @throws RivuletError as `fetchRuntimeFile`; `backend-unavailable` if the page's policy forbids such an address
 */
export async function fetchWasm(url: string, options: Omit<RuntimeFetch, 'packageName'>): Promise<string> {
  const blob = await fetchRuntimeFile(url, wllamaFile, { ...options, packageName: '@wllama/wllama' })
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
