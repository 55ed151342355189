/** The checked options that the worker needs. */
export interface DownloadRequest {
  readonly headers: Readonly<Record<string, string>>
  /** In lower case. */
  readonly sha256: Readonly<Record<string, string>>
  readonly revalidate: boolean
  readonly idleTimeoutMs: number
}
