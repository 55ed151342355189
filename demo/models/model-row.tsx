import type { ComponentChildren } from 'preact'
import type { StoredModel } from 'rivulet'
import { runtimeNames, type ModelEntry } from './catalogue.js'
import { FailureText } from '../engine/failure-text.js'
import { describeProgress } from './describe-progress.js'
import type { Fit } from './device-fit.js'
import type { Download } from './downloads.js'
import { formatSize } from './format-size.js'

/** Actions of the row's buttons. */
interface RowActions {
  onUse(): void
  onDownload(): void
  onPause(): void
  /** Deletes the downloaded files. */
  onDelete(): void
  /** Removes the entry from the list; undefined for entries that the user did not add. */
  onRemove?: (() => void) | undefined
}

interface Props extends RowActions {
  readonly entry: ModelEntry
  /** Undefined while the device is being checked. */
  readonly fit: Fit | undefined
  readonly stored: StoredModel | undefined
  readonly download: Download | undefined
  readonly isChosen: boolean
}

const fitLabels = {
  fits: 'Compatible',
  slow: 'Slow',
  tight: 'Low memory',
  impossible: 'Not supported',
  unknown: 'Unknown',
} satisfies Record<Fit['kind'], string>

/** One backend of a model, with its actions. */
export function ModelRow(props: Props) {
  const { entry, fit, isChosen } = props
  const title = `${entry.name}, ${runtimeNames[entry.runtime]}`
  return (
    <li class="model-row" aria-label={title} data-model={entry.id}>
      <header>
        <h5>{runtimeNames[entry.runtime]}</h5>
        {isChosen && <span class="badge in-use">In use</span>}
        {fit && <span class={`badge ${fit.kind}`}>{fitLabels[fit.kind]}</span>}
      </header>
      {entry.runtime !== 'prompt-api' && (
        <dl class="model-facts">
          <Fact name="Download size">{describeSize(entry)}</Fact>
          <Fact name="Memory">
            {entry.memoryBytes === undefined ? 'Unknown' : `About ${formatSize(entry.memoryBytes)}`}
          </Fact>
        </dl>
      )}
      {entry.servedPath !== undefined && (
        <p class="fit-reason">
          On this page’s server: <code>{entry.servedPath}</code>
        </p>
      )}
      {fit && fit.kind !== 'fits' && <p class="fit-reason">{fit.reason}</p>}
      <RowState {...props} title={title} />
    </li>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function describeSize({ sizeBytes, runtime }: ModelEntry): string {
  if (sizeBytes !== undefined) return formatSize(sizeBytes)
  return runtime === 'web-llm' ? 'Unknown' : 'Shown when the download starts'
}

function RowState(props: Props & { readonly title: string }) {
  const { entry, fit, stored, download, isChosen, title, onUse, onDownload, onPause, onDelete, onRemove } =
    props
  const use = fit?.kind === 'impossible' ? 'Try anyway' : 'Use'
  if (download?.kind === 'running') {
    const text = describeProgress(download.progress)
    return (
      <div class="model-state">
        <progress
          aria-label={`Downloading ${title}`}
          aria-valuetext={text}
          value={download.progress?.fraction ?? 0}
        />
        <p>{text}</p>
        <div class="row-actions">
          <Action label="Pause" title={title} onClick={onPause} />
        </div>
      </div>
    )
  }
  const isPartial = stored !== undefined && isPartlyStored(stored, entry)
  return (
    <div class="model-state">
      {download?.kind === 'failed' && (
        <div class="row-failure" role="alert">
          <FailureText {...download} />
        </div>
      )}
      {stored && <p>{describeStored(stored, isPartial, isChosen)}</p>}
      {entry.runtime === 'web-llm' && (
        <p>WebLLM downloads the model on first use and stores it in its own cache.</p>
      )}
      {entry.runtime === 'prompt-api' && fit?.kind === 'fits' && (
        <p>If the browser has not downloaded its model yet, it does so on first use, once for all sites.</p>
      )}
      <div class="row-actions">
        {!isChosen && <Action label={use} title={title} onClick={onUse} isPrimary />}
        {isPartial && !isChosen && <Action label="Resume" title={title} onClick={onDownload} />}
        {!stored && entry.source && fit?.kind !== 'impossible' && (
          <Action label="Download" title={title} onClick={onDownload} />
        )}
        {stored && <Action label="Delete" title={title} onClick={onDelete} />}
        {!stored && onRemove && <Action label="Remove from list" title={title} onClick={onRemove} />}
      </div>
    </div>
  )
}

/**
 * The store reports a folder as complete if its weights were never requested. The expected size reveals that case; the file may
 * have become a little smaller.
 */
function isPartlyStored({ isComplete, storedBytes }: StoredModel, { sizeBytes = 0 }: ModelEntry): boolean {
  return !isComplete || storedBytes < sizeBytes * 0.95
}

function describeStored(
  { storedBytes, totalBytes }: StoredModel,
  isPartial: boolean,
  isChosen: boolean,
): string {
  const stored = formatSize(storedBytes)
  if (!isPartial) return `Downloaded: ${stored}.`
  const part = totalBytes > storedBytes ? `${stored} of ${formatSize(totalBytes)}` : stored
  // The page itself downloads the model in use.
  return isChosen ? `Downloaded so far: ${part}.` : `Paused at ${part}.`
}

/** A button whose accessible name includes the model, for screen reader users who jump between buttons. */
export function Action({
  label,
  title,
  onClick,
  isPrimary = false,
}: {
  readonly label: string
  readonly title: string
  readonly onClick: () => void
  readonly isPrimary?: boolean
}) {
  return (
    <button
      type="button"
      class={isPrimary ? 'primary' : 'secondary'}
      aria-label={`${label}: ${title}`}
      onClick={onClick}
    >
      {label}
    </button>
  )
}
