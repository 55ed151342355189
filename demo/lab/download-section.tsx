import { formatBytes } from '../figure-format.js'
import type { BrokenDownload, DownloadState } from './broken-download.js'
import { LabReadouts } from './lab-readouts.js'

/** A download whose line is cut and comes back. */
export function DownloadSection({ download }: { readonly download: BrokenDownload }) {
  const state = download.state.value
  const isDown = download.isDown.value
  const isLoading = state.kind === 'loading'
  return (
    <section
      class="lab-section"
      aria-labelledby="download-title"
      data-state={state.kind}
      data-testid="download"
    >
      <h2 id="download-title">Off line during a download</h2>
      <p>
        Removes the built-in model from this browser’s store and downloads it anew, over a line of 0.4 MB a
        second.
      </p>
      <div class="fault-buttons" role="group" aria-label="Download">
        <button type="button" class="primary" disabled={isLoading} onClick={() => void download.startAnew()}>
          Download anew
        </button>
        <button type="button" class="quiet" onClick={() => download.setDown(!isDown)}>
          {isDown ? 'Go on line again' : 'Go off line'}
        </button>
        {state.kind === 'failed' && (
          <button type="button" class="primary" onClick={() => void download.goOn()}>
            Go on where it stopped
          </button>
        )}
      </div>
      <ul class="lab-notes">
        <li>
          A page cannot take its browser off line: here the worker’s own <code>fetch</code> is made slow and
          breaks, as it does when the network is gone.
        </li>
        <li>Without a line for some four seconds the download gives up; what has come is kept.</li>
      </ul>
      <DownloadProgress state={state} isDown={isDown} />
      <LineFigures download={download} />
    </section>
  )
}

function DownloadProgress({ state, isDown }: { readonly state: DownloadState; readonly isDown: boolean }) {
  const progress = state.kind === 'loading' ? state.progress : undefined
  return (
    <div class="load-panel">
      <label for="download-progress">{describeState(state, isDown)}</label>
      <progress
        id="download-progress"
        max={1}
        value={state.kind === 'done' ? 1 : (progress?.fraction ?? 0)}
      />
      <p class="load-detail">{progress && formatBytes(progress.loadedBytes, progress.totalBytes)}</p>
    </div>
  )
}

function describeState(state: DownloadState, isDown: boolean): string {
  if (state.kind === 'failed') return state.message
  if (state.kind === 'done') return `Loaded. It says: ${state.text}`
  if (state.kind === 'idle') return 'Nothing is downloaded yet'
  return isDown ? 'Off line' : 'Downloading'
}

function LineFigures({ download: { line, state } }: { readonly download: BrokenDownload }) {
  const { requests, failedRequests, receivedBytes } = line.value
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(2)
  const readouts = [
    {
      label: 'Requests',
      testId: 'line-requests',
      value: requests,
      title: 'Asked of the server, in all.',
    },
    {
      label: 'Broken',
      testId: 'line-failed',
      value: failedRequests,
      title: 'Requests that failed, or broke off.',
    },
    {
      label: 'Over the line',
      testId: 'line-received',
      value: `${megabytes(receivedBytes)} MB`,
      title: 'Bytes that came; nothing comes twice.',
    },
    {
      label: 'Files',
      testId: 'line-files',
      value: state.value.kind === 'done' ? `${megabytes(state.value.totalBytes)} MB` : '–',
      title: 'What the model’s files take, once they are there.',
    },
  ]
  return <LabReadouts readouts={readouts} />
}
