import type { Devices, LoadProgress } from 'rivulet'
import { useEffect, useRef } from 'preact/hooks'
import { formatBytes, formatNumber, formatTimeLeft } from '../figure-format.js'
import type { LoadFailure, LoadState } from './engine-loader.js'

interface LoadPanelProps {
  readonly state: LoadState
  readonly onRetry: () => void
  /** Called when loading enters a new phase, for those who do not see the bar. */
  readonly onPhase: (label: string) => void
  /** Called where the panel had the focus when it went. */
  readonly onFocusLost: () => void
}

/** How loading goes, and why it went wrong. */
export function LoadPanel({ state, onRetry, onPhase, onFocusLost }: LoadPanelProps) {
  const panel = useRef<HTMLDivElement>(null)
  useEffect(
    () => () => {
      if (document.activeElement === document.body) onFocusLost()
    },
    [],
  )
  return (
    <div class="load-panel" role="group" aria-label="Loading the model" tabIndex={-1} ref={panel}>
      {state.kind === 'loading' && <Loading progress={state.progress} onPhase={onPhase} />}
      {state.kind === 'failed' && (
        <Failure
          failure={state}
          onRetry={() => {
            // The button that is pressed will be gone.
            panel.current?.focus()
            onRetry()
          }}
        />
      )}
    </div>
  )
}

const phaseLabels = {
  download: 'Fetching the model',
  verify: 'Checking the model',
  load: 'Starting the model',
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
  const isMeasured = progress?.phase === 'download' && progress.fraction > 0
  return (
    <div>
      <label for="load-progress">{phase ? phaseLabels[phase] : 'Looking for the model'}</label>
      <progress id="load-progress" {...(isMeasured && { value: progress.fraction })} />
      <p class="load-detail">{isMeasured && describeDownload(progress)}</p>
    </div>
  )
}

/** `12.1 of 199.7 MB · 8.10 MB/s · 24 s left` */
function describeDownload({ loadedBytes, totalBytes, bytesPerSecond, remainingMs }: LoadProgress): string {
  const parts = [formatBytes(loadedBytes, totalBytes)]
  if (bytesPerSecond !== undefined && remainingMs !== undefined) {
    const rate = formatNumber(bytesPerSecond / 1e6, 'MB/s')
    parts.push(`${rate.value} ${rate.unit}`, `${formatTimeLeft(remainingMs)} left`)
  }
  return parts.join(' · ')
}

function Failure({ failure, onRetry }: { readonly failure: LoadFailure; readonly onRetry: () => void }) {
  const { title, message, code, devices } = failure
  return (
    <>
      <div class="failure" role="alert">
        <h2>{title}</h2>
        <p>{message}</p>
        {devices && <DeviceList devices={devices} />}
        {code !== undefined && (
          <p class="failure-code">
            Code <code>{code}</code>
          </p>
        )}
      </div>
      <div class="failure-actions">
        <button type="button" class="primary" onClick={onRetry}>
          Try again
        </button>
        {location.search !== '' && <a href="./">Start over with the built-in model</a>}
      </div>
    </>
  )
}

function DeviceList({ devices: { webgpu, wasm } }: { readonly devices: Devices }) {
  return (
    <dl>
      <dt>WebGPU</dt>
      <dd>{describeWebGpu(webgpu)}</dd>
      <dt>WebAssembly</dt>
      <dd>{'unavailable' in wasm ? wasm.unavailable : 'Available.'}</dd>
    </dl>
  )
}

function describeWebGpu(webgpu: Devices['webgpu']): string {
  if ('unavailable' in webgpu) return webgpu.unavailable
  // As the library sees it: an adapter that computes on the CPU is refused by who needs a GPU.
  if (webgpu.adapter.isFallbackAdapter) return 'Only a software adapter, which computes on the CPU.'
  return 'Available.'
}
