import type { StoredModel } from 'rivulet'
import { formatSize } from './format-size.js'
import { Action } from './model-row.js'
import type { StorageUse } from './storage-use.js'

interface Props {
  readonly use: StorageUse
  /** Stored models that have no row in the picker. */
  readonly others: readonly StoredModel[]
  readonly onPersist: () => void
  readonly onDelete: (model: StoredModel) => void
  readonly onDeleteAll: () => void
}

/** Shows how much storage the models use, and whether the browser may delete them. */
export function StoragePanel({ use, others, onPersist, onDelete, onDeleteAll }: Props) {
  const { models, runtimes, usedBytes, quotaBytes, isPersisted } = use
  const modelBytes = sumBytes(models)
  const runtimeBytes = sumBytes(runtimes)
  return (
    <section class="storage" aria-labelledby="storage-title">
      <h3 id="storage-title">Storage</h3>
      <p>
        Storage used by models: <strong data-testid="model-bytes">{formatSize(modelBytes)}</strong>
        {runtimeBytes > 0 && `, and by the software that runs them: ${formatSize(runtimeBytes)}`}. Storage
        used by this site: {formatSize(usedBytes)}
        {quotaBytes !== undefined && ` of ${formatSize(quotaBytes)} available`}.
      </p>
      {quotaBytes !== undefined && (
        <meter aria-label="Storage used by this site" value={usedBytes} max={quotaBytes} />
      )}
      <p>{persistenceTexts[String(isPersisted)]}</p>
      <ul class="others">
        {others.map((model) => (
          <li key={model.model}>
            <span class="other-name">{model.model}</span> {formatSize(model.storedBytes)}
            <Action label="Delete" title={model.model} onClick={() => onDelete(model)} />
          </li>
        ))}
      </ul>
      <div class="row-actions">
        {isPersisted === false && (
          <button type="button" class="secondary" onClick={onPersist}>
            Request persistent storage
          </button>
        )}
        {models.length > 0 && (
          <button type="button" class="secondary" onClick={onDeleteAll}>
            Delete all models
          </button>
        )}
      </div>
    </section>
  )
}

function sumBytes(stored: readonly { readonly storedBytes: number }[]): number {
  return stored.reduce((sum, { storedBytes }) => sum + storedBytes, 0)
}

const persistenceTexts: Readonly<Record<string, string>> = {
  true: 'The browser keeps the models until you delete them.',
  false: 'The browser may delete the models when the disk is almost full.',
  undefined: 'This browser does not report how long it keeps the models.',
}
