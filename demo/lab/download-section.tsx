import { formatBytes } from '../figure-format.js'
import type { BrokenDownload, DownloadState } from './broken-download.js'
import { LabReadouts } from './lab-readouts.js'

/** A model download during which the user can cut and restore the network. */
export function DownloadSection({ download }: { readonly download: BrokenDownload }) {
  const state = download.state.value
  const isOffline = download.isOffline.value
  const isLoading = state.kind === 'loading'
  return (
    <section
      class="lab-section"
      aria-labelledby="download-title"
      data-state={state.kind}
      data-testid="download"
    >
      <h2 id="download-title">Network loss during a download</h2>
      <p>
        Deletes the built-in model from this browser’s model store and downloads it again at 0.4 MB/s. Go
        offline during the download: it resumes where it stopped.
      </p>
      <div class="fault-buttons" role="group" aria-label="Download">
        <button type="button" class="primary" disabled={isLoading} onClick={() => void download.restart()}>
          Delete and download
        </button>
        <button type="button" class="quiet" onClick={() => download.setOffline(!isOffline)}>
          {isOffline ? 'Go online' : 'Go offline'}
        </button>
        {state.kind === 'failed' && (
          <button type="button" class="primary" onClick={() => void download.resume()}>
            Resume download
          </button>
        )}
      </div>
      <ul class="lab-notes">
        <li>
          A page cannot take the browser offline. Instead, the lab throttles <code>fetch</code> in the worker
          and makes it fail in the same way as without a network.
        </li>
        <li>After about four seconds offline, the download fails. The downloaded part is kept.</li>
      </ul>
      <DownloadProgress state={state} isOffline={isOffline} />
      <NetworkReadouts download={download} />
    </section>
  )
}

interface DownloadProgressProps {
  readonly state: DownloadState
  readonly isOffline: boolean
}

function DownloadProgress({ state, isOffline }: DownloadProgressProps) {
  const progress = state.kind === 'loading' ? state.progress : undefined
  return (
    <div class="load-panel">
      <label for="download-progress">{describeState(state, isOffline)}</label>
      <progress
        id="download-progress"
        max={1}
        value={state.kind === 'done' ? 1 : (progress?.fraction ?? 0)}
      />
      <p class="load-detail">{progress && formatBytes(progress.loadedBytes, progress.totalBytes)}</p>
    </div>
  )
}

function describeState(state: DownloadState, isOffline: boolean): string {
  if (state.kind === 'failed') return state.message
  if (state.kind === 'done') return `Loaded. Its answer to “Hello!”: ${state.text}`
  if (state.kind === 'idle') return 'Not started'
  return isOffline ? 'Offline' : 'Downloading'
}

function NetworkReadouts({ download: { network, state } }: { readonly download: BrokenDownload }) {
  const { requests, failedRequests, receivedBytes } = network.value
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(2)
  const readouts = [
    {
      label: 'Requests',
      testId: 'network-requests',
      value: requests,
      title: 'Requests sent to the server.',
    },
    {
      label: 'Failed requests',
      testId: 'network-failed',
      value: failedRequests,
      title: 'Requests that failed before or during the response.',
    },
    {
      label: 'Received',
      testId: 'network-received',
      value: `${megabytes(receivedBytes)} MB`,
      title: 'Bytes received over the network. Bytes of the weights are never downloaded twice.',
    },
    {
      label: 'Model files',
      testId: 'network-files',
      value: state.value.kind === 'done' ? `${megabytes(state.value.totalBytes)} MB` : '–',
      title: 'The total size of the model’s files, once they are downloaded.',
    },
  ]
  return <LabReadouts readouts={readouts} />
}
