import type { Devices, LoadProgress } from 'rivulet'
import { useEffect, useRef } from 'preact/hooks'
import { formatBytes, formatNumber, formatTimeLeft } from '../figure-format.js'
import type { LoadFailure, LoadState } from './engine-loader.js'
import { FailureText } from './failure-text.js'

interface LoadPanelProps {
  readonly state: LoadState
  readonly onRetry: () => void
  /** Opens the list of models. */
  readonly onModels: () => void
  /** Called when loading enters a new phase, for screen readers. */
  readonly onPhase: (label: string) => void
  /** Called if the panel had the focus when it was removed. */
  readonly onFocusLost: () => void
}

/** Shows the load progress, or why loading failed. */
export function LoadPanel({ state, onRetry, onModels, onPhase, onFocusLost }: LoadPanelProps) {
  const panel = useRef<HTMLDivElement>(null)
  useEffect(
    () => () => {
      if (document.activeElement === document.body) onFocusLost()
    },
    [],
  )
  return (
    <div class="load-panel" role="group" aria-label="Model loading" tabIndex={-1} ref={panel}>
      {state.kind === 'loading' && <Loading progress={state.progress} onPhase={onPhase} />}
      {state.kind === 'failed' && (
        <Failure
          failure={state}
          onModels={onModels}
          onRetry={() => {
            // The pressed button will be removed.
            panel.current?.focus()
            onRetry()
          }}
        />
      )}
    </div>
  )
}

const phaseLabels = {
  download: 'Downloading the model',
  verify: 'Verifying the model',
  load: 'Loading the model',
  'warm-up': 'Warming up the model',
} satisfies Record<LoadProgress['phase'], string>

function Loading({
  progress,
  onPhase,
}: { readonly progress: LoadProgress | undefined } & Pick<LoadPanelProps, 'onPhase'>) {
  const phase = progress?.phase
  useEffect(() => {
    if (phase) onPhase(phaseLabels[phase])
  }, [phase])
  const isMeasured = progress !== undefined && progress.fraction > 0
  return (
    <div>
      <label for="load-progress">{phase ? phaseLabels[phase] : 'Preparing to load the model'}</label>
      <progress id="load-progress" {...(isMeasured && { value: progress.fraction })} />
      <p class="load-detail">{isMeasured && describeDownload(progress)}</p>
    </div>
  )
}

/** `12.1 of 199.7 MB · 8.10 MB/s · 24 s left`; after the download only `3 s left` */
function describeDownload(progress: LoadProgress): string {
  const { phase, loadedBytes, totalBytes, bytesPerSecond, remainingMs } = progress
  const isDownloading = phase === 'download' || phase === 'verify'
  const parts = isDownloading ? [formatBytes(loadedBytes, totalBytes)] : []
  if (isDownloading && bytesPerSecond !== undefined) {
    const rate = formatNumber(bytesPerSecond / 1e6, 'MB/s')
    parts.push(`${rate.value} ${rate.unit}`)
  }
  if (remainingMs !== undefined) parts.push(`${formatTimeLeft(remainingMs)} left`)
  return parts.join(' · ')
}

function Failure({
  failure,
  onRetry,
  onModels,
}: { readonly failure: LoadFailure } & Pick<LoadPanelProps, 'onRetry' | 'onModels'>) {
  const { title, devices } = failure
  return (
    <>
      <div class="failure" role="alert">
        <h2>{title}</h2>
        <FailureText {...failure} />
        {devices && <MissingDevices devices={devices} />}
      </div>
      <div class="failure-actions">
        <button type="button" class="primary" onClick={onRetry}>
          Try again
        </button>
        <button type="button" class="quiet" onClick={onModels}>
          Choose another model
        </button>
        {location.search !== '' && <a href="./">Use the built-in model</a>}
      </div>
    </>
  )
}

/** What this browser cannot compute on. */
function MissingDevices({ devices: { webgpu, wasm } }: { readonly devices: Devices }) {
  const missing = [webgpu, wasm].flatMap((device) => ('unavailable' in device ? [device.unavailable] : []))
  return missing.length === 0 ? null : <p>{missing.join(' ')}</p>
}
