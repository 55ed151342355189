// For both threads: lets the page read a worker's counters. It uses a separate channel, because the worker's message port
// belongs to the library under test.

/** Counters of a worker since its start, and its current memory. */
export interface Counts {
  readonly submits: number
  readonly dispatches: number
  readonly bindGroups: number
  readonly buffers: number
  /** Total size of all buffers created. */
  readonly bytesAllocated: number
  /** Total size of the ranges mapped for reading. */
  readonly bytesReadBack: number
  /** Total size of the buffers not destroyed yet. */
  readonly gpuBytesAlive: number
  /** Total size of the WebAssembly memories that are not garbage-collected. A memory never shrinks. */
  readonly wasmBytes: number
}

/**
 * In `no-op` mode, dispatches run no workgroups, so that only the CPU-side cost remains. In `empty` mode, the shaders are empty
 * too: a software GPU compiles shaders much more slowly than a graphics card.
 */
type DispatchMode = 'real' | 'no-op' | 'empty'

/** A worker's configuration. It is part of the worker's name, because it is needed before any message can arrive. */
export interface WorkerRole {
  readonly mode: DispatchMode
  readonly device: 'webgpu' | 'wasm'
}

/** Returns a unique worker name that contains the role. It also names the worker's BroadcastChannel. */
export function nameWorker({ mode, device }: WorkerRole): string {
  return `${mode} ${device} ${crypto.randomUUID()}`
}

/** Reads the role from a name created by `nameWorker`. */
export function readRole(workerName: string): WorkerRole {
  const [mode, device] = workerName.split(' ')
  // Valid because `nameWorker` created the name.
  return { mode, device } as WorkerRole
}

/** A worker answers between two of its tasks. */
const maxAnswerMs = 60_000

/** Requests the counters of a worker that calls `startProbe`. Throws if none answers within a minute. */
export async function requestCounts(workerName: string): Promise<Counts> {
  const channel = new BroadcastChannel(workerName)
  try {
    return await new Promise((resolve, reject) => {
      setTimeout(
        () => reject(new Error(`No worker with the name "${workerName}" has answered.`)),
        maxAnswerMs,
      )
      channel.onmessage = ({ data }: MessageEvent<Counts>) => resolve(data)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
      channel.postMessage('counts')
    })
  } finally {
    channel.close()
  }
}

/** Replies to `requestCounts`. */
export function answerCounts(workerName: string, read: () => Counts): void {
  const channel = new BroadcastChannel(workerName)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
  channel.onmessage = () => channel.postMessage(read())
}
