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
  const chunks: Uint8Array[] = []
  let loadedBytes = 0
  onBytes?.(0, totalBytes)
  const reader = response.body?.getReader()
  try {
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      chunks.push(read.value)
      loadedBytes += read.value.byteLength
      onBytes?.(loadedBytes, totalBytes)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw new RivuletError(
      'download-failed',
      `${url} broke off behind ${loadedBytes} bytes: ${describeError(error)}. Try again.`,
      { cause: error },
    )
  }
  return joinBytes(chunks, loadedBytes)
}

function joinBytes(chunks: Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const [index, chunk] of chunks.entries()) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
    // Lets a large file's pieces be freed while it is put together.
    chunks[index] = emptyBytes
  }
  return bytes
}

const emptyBytes = new Uint8Array(0)
