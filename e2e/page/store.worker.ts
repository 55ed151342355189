// The model store without a backend: downloads one file of a folder, and reports the outcome.
import { openRemoteFiles } from '../../dist/workers/store/remote-files.js'
import { collectProgress } from '../../dist/workers/store/collect-progress.js'

/** A file to download to the store. */
export interface StoreRequest {
  readonly url: string
  readonly path: string
  readonly sha256?: string
  readonly revalidate?: boolean
  /** Whether to read the stored file and hash it. Not for a gigabyte. */
  readonly isRead?: boolean
}

export type StoreAnswer =
  | { readonly kind: 'progress'; readonly loadedBytes: number; readonly phase: string }
  | { readonly kind: 'stored'; readonly sizeBytes: number | undefined; readonly sha256: string | undefined }
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string }

const post = (answer: StoreAnswer) => self.postMessage(answer, {})

self.onmessage = async ({ data }: MessageEvent<StoreRequest>) => {
  const { url, path, sha256, revalidate = true, isRead = true } = data
  try {
    const files = await openRemoteFiles(
      { kind: 'folder', url },
      {
        headers: {},
        sha256: sha256 === undefined ? {} : { [path]: sha256 },
        revalidate,
        idleTimeoutMs: 2000,
      },
      {
        onProgress: collectProgress(({ loadedBytes, phase }) =>
          post({ kind: 'progress', loadedBytes, phase }),
        ),
        signal: new AbortController().signal,
      },
    )
    const file = await files.read(path)
    files.close()
    const bytes = isRead ? await file?.arrayBuffer() : undefined
    const hash = bytes && new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    post({
      kind: 'stored',
      sizeBytes: file?.size,
      sha256: hash && [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    })
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string }
    post({ kind: 'failed', code, message })
  }
}
