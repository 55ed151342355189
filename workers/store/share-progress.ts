import type { TransferProgress } from './download-file.js'

/** Tabs that wait for a file tell its readers how far the tab that fetches it has come. */
const channelName = 'rivulet downloads'

const intervalMs = 100

interface Told {
  readonly lock: string
  readonly progress: TransferProgress
}

/** Tells the other tabs of this site, a few times a second. */
export function tellProgress(lock: string): { tell(progress: TransferProgress): void; end(): void } {
  const channel = new BroadcastChannel(channelName)
  let toldMs = 0
  return {
    tell(progress) {
      const nowMs = performance.now()
      if (nowMs - toldMs < intervalMs) return
      toldMs = nowMs
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
      channel.postMessage({ lock, progress } satisfies Told)
    },
    end: () => channel.close(),
  }
}

/** Hears of the download that holds `lock`, until the returned function is called. */
export function hearProgress(lock: string, onProgress: (progress: TransferProgress) => void): () => void {
  const channel = new BroadcastChannel(channelName)
  channel.onmessage = ({ data }: MessageEvent<Told>) => {
    if (data.lock === lock) onProgress(data.progress)
  }
  return () => channel.close()
}
