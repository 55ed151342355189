import type { StoredModel } from 'rivulet'
import { formatSize } from './format-size.js'
import { Action } from './model-row.js'
import type { StorageUse } from './storage-use.js'

interface Props {
  readonly use: StorageUse
  /** Stored, and in none of the rows. */
  readonly others: readonly StoredModel[]
  readonly onPersist: () => void
  readonly onRemove: (model: StoredModel) => void
  readonly onRemoveAll: () => void
}

/** What models take of the disk, and whether the browser keeps them. */
export function StoragePanel({ use, others, onPersist, onRemove, onRemoveAll }: Props) {
  const { models, usedBytes, quotaBytes, isPersisted } = use
  const modelBytes = models.reduce((sum, { storedBytes }) => sum + storedBytes, 0)
  return (
    <section class="storage" aria-labelledby="storage-title">
      <h3 id="storage-title">Storage</h3>
      <p>
        Models take <strong data-testid="model-bytes">{formatSize(modelBytes)}</strong>. In all, this site
        takes {formatSize(usedBytes)}
        {quotaBytes !== undefined && ` of ${formatSize(quotaBytes)} that the browser gives it`}.
      </p>
      {quotaBytes !== undefined && (
        <meter aria-label="Storage of this site" value={usedBytes} max={quotaBytes} />
      )}
      <p>{persistenceTexts[String(isPersisted)]}</p>
      <ul class="others">
        {others.map((model) => (
          <li key={model.model}>
            <span class="other-name">{model.model}</span> {formatSize(model.storedBytes)}
            <Action label="Remove" title={model.model} onClick={() => onRemove(model)} />
          </li>
        ))}
      </ul>
      <div class="row-actions">
        {isPersisted === false && (
          <button type="button" class="secondary" onClick={onPersist}>
            Ask the browser to keep them
          </button>
        )}
        {models.length > 0 && (
          <button type="button" class="secondary" onClick={onRemoveAll}>
            Remove all downloads
          </button>
        )}
      </div>
    </section>
  )
}

const persistenceTexts: Readonly<Record<string, string>> = {
  true: 'The browser keeps them until you delete them.',
  false: 'The browser may delete them when the disk runs full.',
  undefined: 'This browser does not say how long it keeps them.',
}
