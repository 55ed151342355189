// Both threads: how the page reads the counters of a worker whose own messages belong to the library under test.

/** What a worker has done so far, and what it holds. */
export interface Counts {
  readonly submits: number
  readonly dispatches: number
  readonly bindGroups: number
  readonly buffers: number
  /** Sizes of the buffers made. */
  readonly bytesAllocated: number
  /** Sizes of the ranges mapped for reading. */
  readonly bytesReadBack: number
  /** Sizes of the buffers made and not destroyed. */
  readonly gpuBytesAlive: number
  /** Sizes of WebAssembly memories, which never shrink; one that has been collected counts no more. */
  readonly wasmBytes: number
}

/** What a worker's dispatches do: `no-op` ones run no workgroup, which leaves the host's own cost. */
type DispatchMode = 'real' | 'no-op'

/** What a worker has to know before its first line runs: it travels in its name, which is also its channel's. */
export interface WorkerRole {
  readonly mode: DispatchMode
  readonly device: 'webgpu' | 'wasm'
}

/** A name that no other worker has. */
export function nameWorker({ mode, device }: WorkerRole): string {
  return `${mode} ${device} ${crypto.randomUUID()}`
}

/** The role that a worker was named for. */
export function readRole(workerName: string): WorkerRole {
  const [mode, device] = workerName.split(' ')
  // The names are those of `nameWorker`.
  return { mode, device } as WorkerRole
}

/** Asks a worker that has installed a probe. */
export async function requestCounts(workerName: string): Promise<Counts> {
  const channel = new BroadcastChannel(workerName)
  try {
    return await new Promise((resolve) => {
      channel.onmessage = ({ data }: MessageEvent<Counts>) => resolve(data)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
      channel.postMessage('counts')
    })
  } finally {
    channel.close()
  }
}

/** Answers `requestCounts`. */
export function answerCounts(workerName: string, read: () => Counts): void {
  const channel = new BroadcastChannel(workerName)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
  channel.onmessage = () => channel.postMessage(read())
}
