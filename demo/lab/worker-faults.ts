/** A message from the lab to its worker. The library ignores messages that are not its own. */
export type FaultCommand =
  | { readonly kind: 'lose-device' }
  | { readonly kind: 'set-network'; readonly network: NetworkCondition }
  | { readonly kind: 'read-counts' }

/** The simulated network between the worker and the model's server. */
export interface NetworkCondition {
  /** The URL of the model's folder. Other requests are not affected. */
  readonly url: string
  readonly bytesPerSecond: number
  readonly isOffline: boolean
}

/** The worker's reply to `read-counts`. */
export interface WorkerCounts {
  readonly gpuDevices: number
  readonly requests: number
  readonly failedRequests: number
  readonly receivedBytes: number
}

export interface CountsMessage {
  readonly counts: WorkerCounts
}
