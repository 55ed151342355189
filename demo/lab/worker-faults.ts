/** What the lab tells a worker of its own, beside the library's calls, which pass over what is not theirs. */
export type WorkerOrder =
  | { readonly order: 'lose the device' }
  | { readonly order: 'set the line'; readonly line: Line }
  | { readonly order: 'count' }

/** The worker's line to the server of its model. */
export interface Line {
  /** Of the model's folder: nothing else is touched. */
  readonly url: string
  readonly bytesPerSecond: number
  readonly isDown: boolean
}

/** What the worker has seen; its answer to `count`. */
export interface WorkerCounts {
  /** Of the newest generation. */
  readonly sentChunks: number
  /** What the page granted that generation, one for each message that may be sent. */
  readonly credits: number
  readonly gpuDevices: number
  readonly requests: number
  readonly failedRequests: number
  readonly receivedBytes: number
}

export interface CountsMessage {
  readonly counts: WorkerCounts
}
