import './models.css'
import { render } from 'preact'
import { defaultChoice, type ModelChoice } from '../model-choice.js'
import { groupByModel, isChosen, type ModelEntry } from './catalogue.js'
import { checkFit } from './device-fit.js'
import { ModelRow } from './model-row.js'
import type { LocalModel } from './local-files.js'
import { CustomModels } from './custom-models.js'
import { createPickerState } from './picker-state.js'
import { StoragePanel } from './storage-panel.js'

interface Props {
  /** The model that is loaded or loading. */
  readonly choice: ModelChoice
  readonly onChoose: (choice: ModelChoice) => void
}

const state = createPickerState()

/** Opens the models dialog. Closing it removes it from the page. */
export function showModelPicker({ choice, onChoose }: Props): void {
  const dialog = document.createElement('dialog')
  dialog.className = 'models'
  dialog.setAttribute('aria-labelledby', 'models-title')
  const stopWatching = state.watch()
  dialog.addEventListener('close', () => {
    stopWatching()
    render(null, dialog)
    dialog.remove()
  })
  dialog.addEventListener('click', ({ target }) => {
    // The content covers the whole dialog, so a click whose target is the dialog itself hit the backdrop.
    if (target === dialog) dialog.close()
  })
  document.body.append(dialog)
  const choose = (chosen: ModelChoice) => {
    dialog.close()
    onChoose(chosen)
  }
  render(<ModelPicker choice={choice} onChoose={choose} onClose={() => dialog.close()} />, dialog)
  dialog.showModal()
}

function ModelPicker({ choice, onChoose, onClose }: Props & { readonly onClose: () => void }) {
  const use = state.storage.value
  const shown = new Set(state.entries.value.map((entry) => state.findStored(entry)?.model))
  return (
    <div class="models-content">
      <header class="models-header">
        <h2 id="models-title">Models</h2>
        <button type="button" class="action" aria-label="Close models" onClick={onClose}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M6 6l12 12M18 6L6 18" />
          </svg>
        </button>
      </header>
      <p class="visually-hidden" role="status">
        {state.notice}
      </p>
      <section aria-labelledby="catalogue-title">
        <h3 id="catalogue-title">Available models</h3>
        {state.entries.value.length === 0 && <p>Checking what this device can run…</p>}
        <ul class="model-cards">
          {groupByModel(state.entries.value).map((card) => (
            <li key={card.name} class="model-card" aria-label={card.name}>
              <h4>{card.name}</h4>
              <p class="model-about">{card.about}</p>
              <p class="model-about">Licence: {card.licence}</p>
              <ul class="model-rows">
                {card.entries.map((entry) => (
                  <EntryRow key={entry.id} {...{ entry, choice, onChoose }} />
                ))}
              </ul>
            </li>
          ))}
        </ul>
      </section>
      <CustomModels
        saved={state.saved.value}
        onFiles={(model) => {
          void state.save(model)
          onChoose(chooseFiles(model))
        }}
        onRemove={(model) => void state.removeSaved(model)}
        onAdd={state.add}
        onServer={(server, model) => onChoose({ ...defaultChoice, backend: 'remote', server, model })}
      />
      {use && (
        <StoragePanel
          use={use}
          others={use.models.filter(({ model }) => !shown.has(model))}
          onPersist={() => void state.persist()}
          onDelete={({ model }) => void state.deleteModel(model, model)}
          onDeleteAll={() => void state.deleteAll()}
        />
      )}
    </div>
  )
}

function EntryRow({ entry, choice, onChoose }: Props & { readonly entry: ModelEntry }) {
  const device = state.device.value
  const stored = state.findStored(entry)
  return (
    <ModelRow
      entry={entry}
      stored={stored}
      fit={device && checkFit(entry, device, stored?.storedBytes)}
      download={state.downloads.value.get(entry.id)}
      isChosen={isChosen(entry, choice)}
      onUse={() => onChoose({ ...defaultChoice, ...entry.choice })}
      onDownload={() => void state.download(entry)}
      onPause={() => state.pause(entry)}
      onDelete={() => entry.source && void state.deleteModel(entry.name, entry.source)}
      onRemove={isAdded(entry) ? () => state.removeAdded(entry) : undefined}
    />
  )
}

function isAdded({ id }: ModelEntry): boolean {
  return id.startsWith('added ')
}

function chooseFiles({ name, runtime, files }: LocalModel): ModelChoice {
  return { ...defaultChoice, model: name, backend: runtime, files }
}
