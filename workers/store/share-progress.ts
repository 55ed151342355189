import type { TransferProgress } from './download-job.js'

/** The channel on which the tab that downloads a file reports its progress to the tabs that wait for the file. */
const channelName = 'rivulet downloads'

const intervalMs = 100

interface SharedProgress {
  readonly lock: string
  readonly progress: TransferProgress
}

/** Creates a sender that posts progress to this site's other tabs, at most ten times a second. */
export function shareProgress(lock: string): { post(progress: TransferProgress): void; end(): void } {
  const channel = new BroadcastChannel(channelName)
  let postedMs = 0
  return {
    post(progress) {
      const nowMs = performance.now()
      if (nowMs - postedMs < intervalMs) return
      postedMs = nowMs
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
      channel.postMessage({ lock, progress } satisfies SharedProgress)
    },
    end: () => channel.close(),
  }
}

/**
 * Calls `onProgress` with the progress of the download that holds the Web Lock `lock`.
 * @returns a function that ends these calls
 */
export function watchProgress(lock: string, onProgress: (progress: TransferProgress) => void): () => void {
  const channel = new BroadcastChannel(channelName)
  channel.onmessage = ({ data }: MessageEvent<SharedProgress>) => {
    if (data.lock === lock) onProgress(data.progress)
  }
  return () => channel.close()
}
