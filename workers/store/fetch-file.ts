import { RivuletError, describeError } from '../../lib/contract/errors.js'

/** Told of every piece of a file as it arrives; `totalBytes` is undefined where the server does not say. */
export type OnBytes = (loadedBytes: number, totalBytes: number | undefined) => void

/**
 * Fetches a file whole.
 * @returns its bytes, or undefined where the server has no such file
 * @throws RivuletError `download-failed`; the reason of `signal`
 */
export async function fetchFile(
  url: string,
  { onBytes, signal }: { onBytes?: OnBytes; signal: AbortSignal },
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const response = await requestFile(url, signal)
  if (!response) return undefined
  // With a content encoding the length is that of the encoded bytes.
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length')
  const totalBytes = length === null ? undefined : Number(length)
  const bytes = await readBody(url, response, totalBytes, onBytes, signal)
  // A body cut short by a closed connection can resolve as if it were whole.
  if (totalBytes !== undefined && bytes.byteLength !== totalBytes) {
    throw new RivuletError(
      'download-failed',
      `${url} was cut short: ${bytes.byteLength} of ${totalBytes} bytes came. Try again.`,
    )
  }
  return bytes
}

async function requestFile(url: string, signal: AbortSignal): Promise<Response | undefined> {
  let response: Response
  try {
    response = await fetch(url, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw new RivuletError(
      'download-failed',
      `${url} could not be fetched: the network is down, or CORS or the page's CSP (connect-src) forbids it.`,
      { cause: error },
    )
  }
  if (response.status === 404 || response.status === 410) return undefined
  if (!response.ok) {
    throw new RivuletError(
      'download-failed',
      `${url} answered ${response.status} ${response.statusText}.`.trim(),
    )
  }
  // Servers of single-page apps answer any unknown path with their index page.
  if (response.headers.get('content-type')?.startsWith('text/html')) return undefined
  return response
}

async function readBody(
  url: string,
  response: Response,
  totalBytes: number | undefined,
  onBytes: OnBytes | undefined,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  // One buffer of the right size, into which the browser writes: pieces to be put together would take twice the
  // file's memory, and pieces to be copied half of it, until a collector comes by.
  let bytes = allocate(url, totalBytes ?? firstBufferBytes)
  let loadedBytes = 0
  onBytes?.(0, totalBytes)
  const reader = response.body?.getReader({ mode: 'byob' })
  try {
    while (reader) {
      const hasRoom = loadedBytes < bytes.byteLength
      // A read hands the buffer over, and back in `value`.
      const { done, value } = await reader.read(hasRoom ? bytes.subarray(loadedBytes) : new Uint8Array(1))
      if (hasRoom && value) bytes = new Uint8Array(value.buffer)
      if (done || !value) break
      if (!hasRoom) {
        const larger = allocate(url, bytes.byteLength * 2 + 1)
        larger.set(bytes)
        larger.set(value, loadedBytes)
        bytes = larger
      }
      loadedBytes += value.byteLength
      onBytes?.(loadedBytes, totalBytes)
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof RivuletError) throw error
    throw new RivuletError(
      'download-failed',
      `${url} broke off behind ${loadedBytes} bytes: ${describeError(error)}. Try again.`,
      { cause: error },
    )
  }
  return loadedBytes === bytes.byteLength ? bytes : bytes.slice(0, loadedBytes)
}

/** Where the server does not say how long the file is. */
const firstBufferBytes = 2 ** 16

/** @throws RivuletError `download-failed` where the page has no room for as many bytes */
function allocate(url: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length)
  } catch (error) {
    throw new RivuletError('download-failed', `There is no memory for the ${length} bytes of ${url}.`, {
      cause: error,
    })
  }
}
