import type { ComponentChildren } from 'preact'
import type { StoredModel } from 'rivulet'
import { runtimeNames, type ModelEntry } from './catalogue.js'
import { describeProgress } from './describe-progress.js'
import type { Fit } from './device-fit.js'
import type { Download } from './downloads.js'
import { formatSize } from './format-size.js'

/** What the row's buttons do. */
interface RowActions {
  onUse(): void
  onDownload(): void
  onPause(): void
  onRemove(): void
  /** Takes it from the list; undefined where it belongs there. */
  onForget?: (() => void) | undefined
}

interface Props extends RowActions {
  readonly entry: ModelEntry
  /** Undefined while the device is being asked. */
  readonly fit: Fit | undefined
  readonly stored: StoredModel | undefined
  readonly download: Download | undefined
  readonly isChosen: boolean
}

const fitLabels = {
  fits: 'Fits',
  slow: 'Slow here',
  tight: 'Tight',
  impossible: 'Does not fit',
  unknown: 'Unknown',
} satisfies Record<Fit['kind'], string>

/** One model on one runtime, with what can be done about it. */
export function ModelRow(props: Props) {
  const { entry, fit, isChosen } = props
  const title = `${entry.name}, ${runtimeNames[entry.runtime]}`
  return (
    <li class="model-row" aria-label={title} data-model={entry.id}>
      <header>
        <h4>{entry.name}</h4>
        {isChosen && <span class="badge in-use">In use</span>}
        {fit && <span class={`badge ${fit.kind}`}>{fitLabels[fit.kind]}</span>}
      </header>
      <p class="model-about">{entry.about}</p>
      <dl class="model-facts">
        <Fact name="Runs on">{runtimeNames[entry.runtime]}</Fact>
        <Fact name="Download">{describeSize(entry)}</Fact>
        <Fact name="Memory">
          {entry.memoryBytes === undefined ? 'Not known yet' : `About ${formatSize(entry.memoryBytes)}`}
        </Fact>
        <Fact name="Licence">{entry.licence}</Fact>
      </dl>
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
  return runtime === 'web-llm' ? 'By WebLLM' : 'Told when it begins'
}

function RowState(props: Props & { readonly title: string }) {
  const { entry, fit, stored, download, isChosen, title, onUse, onDownload, onPause, onRemove, onForget } =
    props
  const use = fit?.kind === 'impossible' ? 'Try anyway' : 'Use'
  if (download?.kind === 'running') {
    const text = describeProgress(download.progress)
    return (
      <div class="model-state">
        <progress
          aria-label={`Download of ${title}`}
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
        <p class="row-failure" role="alert">
          {download.message} {download.code && <code>{download.code}</code>}
        </p>
      )}
      {stored && <p>{describeStored(stored, isPartial, isChosen)}</p>}
      {entry.runtime === 'web-llm' && <p>WebLLM fetches it at its first use, and keeps it by itself.</p>}
      <div class="row-actions">
        {!isChosen && <Action label={use} title={title} onClick={onUse} isPrimary />}
        {isPartial && !isChosen && <Action label="Resume" title={title} onClick={onDownload} />}
        {!stored && entry.source && fit?.kind !== 'impossible' && (
          <Action label="Download" title={title} onClick={onDownload} />
        )}
        {stored && <Action label="Remove" title={title} onClick={onRemove} />}
        {!stored && onForget && <Action label="Forget" title={title} onClick={onForget} />}
      </div>
    </div>
  )
}

/** A folder whose weights were never begun holds nothing unfinished: then its size tells. */
function isPartlyStored({ isComplete, storedBytes }: StoredModel, { sizeBytes = 0 }: ModelEntry): boolean {
  return !isComplete || storedBytes < sizeBytes
}

function describeStored(
  { storedBytes, totalBytes }: StoredModel,
  isPartial: boolean,
  isChosen: boolean,
): string {
  if (!isPartial) return `On this device: ${formatSize(storedBytes)}.`
  const there = formatSize(storedBytes)
  const part = totalBytes > storedBytes ? `${there} of ${formatSize(totalBytes)}` : there
  // The page itself fetches what it has in use.
  return isChosen ? `So far: ${part}.` : `Paused at ${part}.`
}

/** Its name says which model it is about, for those who hear the button alone. */
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
