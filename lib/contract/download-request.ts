/** The checked download options, as they are sent to the worker. */
export interface DownloadRequest {
  readonly headers: Readonly<Record<string, string>>
  /** The expected hashes by file path, in lower case. */
  readonly sha256: Readonly<Record<string, string>>
  readonly revalidate: boolean
  readonly idleTimeoutMs: number
}
