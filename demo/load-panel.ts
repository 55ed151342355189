import type { Devices, LoadProgress } from 'rivulet'
import { formatBytes, formatNumber, formatTimeLeft } from './figure-format.js'
import { pageElement } from './page-element.js'

/** Where the page shows how loading goes, and why it went wrong. */
export interface LoadPanel {
  startLoading(): void
  showProgress(progress: LoadProgress): void
  showFailure(failure: LoadFailure): void
  hide(): void
  hasFocus(): boolean
  focus(): void
}

interface LoadFailure {
  readonly title: string
  readonly message: string
  readonly code: string | undefined
  /** What this browser has, where the failure is that it has too little. */
  readonly devices?: Devices | undefined
}

const phaseLabels = {
  download: 'Fetching the model',
  verify: 'Checking the model',
  load: 'Starting the model',
  'warm-up': 'Warming up the model',
} satisfies Record<LoadProgress['phase'], string>

/** @param onPhase called when loading enters a new phase, for those who do not see the bar */
export function createLoadPanel(onRetry: () => void, onPhase: (label: string) => void): LoadPanel {
  const panel = pageElement('load-panel', HTMLElement)
  const loading = pageElement('loading', HTMLElement)
  const label = pageElement('load-label', HTMLElement)
  const bar = pageElement('load-progress', HTMLProgressElement)
  const detail = pageElement('load-detail', HTMLElement)
  const failure = pageElement('failure', HTMLElement)
  const failureActions = pageElement('failure-actions', HTMLElement)
  const startOver = pageElement('start-over', HTMLAnchorElement)
  pageElement('retry', HTMLButtonElement).addEventListener('click', onRetry)
  let phase: LoadProgress['phase'] | undefined

  function show(part: 'loading' | 'failure' | undefined): void {
    panel.hidden = part === undefined
    loading.hidden = part !== 'loading'
    failure.hidden = part !== 'failure'
    failureActions.hidden = part !== 'failure'
  }

  return {
    startLoading() {
      phase = undefined
      label.textContent = 'Looking for the model'
      bar.removeAttribute('value')
      detail.textContent = ''
      show('loading')
    },
    showProgress(progress) {
      if (progress.phase !== phase) {
        phase = progress.phase
        label.textContent = phaseLabels[phase]
        onPhase(phaseLabels[phase])
      }
      if (phase === 'download' && progress.fraction > 0) {
        bar.value = progress.fraction
        detail.textContent = describeDownload(progress)
      } else {
        bar.removeAttribute('value')
        detail.textContent = ''
      }
    },
    showFailure({ title, message, code, devices }) {
      const heading = document.createElement('h2')
      heading.textContent = title
      const text = document.createElement('p')
      text.textContent = message
      failure.replaceChildren(heading, text)
      if (devices) failure.append(listDevices(devices))
      if (code !== undefined) failure.append(createCode(code))
      startOver.hidden = location.search === ''
      show('failure')
    },
    hide: () => show(undefined),
    hasFocus: () => panel.contains(document.activeElement),
    focus: () => panel.focus(),
  }
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

function createCode(code: string): HTMLElement {
  const line = document.createElement('p')
  line.className = 'failure-code'
  const element = document.createElement('code')
  element.textContent = code
  line.append('Code ', element)
  return line
}

function listDevices({ webgpu, wasm }: Devices): HTMLElement {
  const list = document.createElement('dl')
  const add = (name: string, state: string) => {
    const term = document.createElement('dt')
    term.textContent = name
    const description = document.createElement('dd')
    description.textContent = state
    list.append(term, description)
  }
  add('WebGPU', 'unavailable' in webgpu ? webgpu.unavailable : 'Available.')
  add('WebAssembly', 'unavailable' in wasm ? wasm.unavailable : 'Available.')
  return list
}
