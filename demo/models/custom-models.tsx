import { useState } from 'preact/hooks'
import type { AddedModel } from './added-models.js'
import { fileRuntimeNames } from './catalogue.js'
import { readDrop } from './dropped-parts.js'
import { formatSize } from './format-size.js'
import { requestRead, type SavedModel } from './saved-files.js'
import { Action } from './model-row.js'
import { recognizeModel, type LocalModel, type LocalPart } from './local-files.js'

/** Chromium only. Other browsers use a file input, whose files cannot be opened again on a later visit. */
interface FilePickers {
  showOpenFilePicker?(options: object): Promise<readonly FileSystemHandle[]>
  showDirectoryPicker?(): Promise<FileSystemHandle>
}

interface Props {
  readonly saved: readonly SavedModel[]
  readonly onFiles: (model: LocalModel) => void
  readonly onRemove: (model: SavedModel) => void
  readonly onAdd: (model: AddedModel) => void
  readonly onServer: (server: string, model: string) => void
}

/** Models that the page does not list: local files, names on the hub, URLs, servers. */
export function CustomModels(props: Props) {
  return (
    <section class="custom-models" aria-labelledby="custom-title">
      <h3 id="custom-title">Add a model</h3>
      <FilesPart {...props} />
      <NamedPart onAdd={props.onAdd} />
      <ServerPart onServer={props.onServer} />
    </section>
  )
}

function FilesPart({ saved, onFiles, onRemove }: Props) {
  const [message, setMessage] = useState('')
  const [isOver, setIsOver] = useState(false)
  const pickers = window as FilePickers

  async function openParts(choosing: Promise<readonly LocalPart[]>): Promise<void> {
    try {
      const parts = await choosing
      setMessage('')
      if (parts.length > 0) onFiles(await recognizeModel(parts))
    } catch (error) {
      // The user closed the file picker.
      if (error instanceof DOMException && error.name === 'AbortError') return
      setMessage(error instanceof Error ? error.message : String(error))
    }
  }

  async function reopen({ handles, name }: SavedModel): Promise<readonly LocalPart[]> {
    if (await requestRead(handles)) return handles
    throw new Error(`The browser may not read ${name}. Open it again and allow access.`)
  }

  return (
    <div
      class={isOver ? 'drop-zone over' : 'drop-zone'}
      data-testid="drop-zone"
      onDragOver={(event) => {
        event.preventDefault()
        setIsOver(true)
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={(event) => {
        event.preventDefault()
        setIsOver(false)
        if (event.dataTransfer) void openParts(readDrop(event.dataTransfer))
      }}
    >
      <p>Drop a GGUF file or an ONNX folder here. The files are not copied and never leave this device.</p>
      <div class="row-actions">
        <FileButton
          label="Choose a GGUF file"
          accept=".gguf"
          pick={pickers.showOpenFilePicker && (() => pickers.showOpenFilePicker!({ multiple: true }))}
          onParts={openParts}
        />
        <FileButton
          label="Choose an ONNX folder"
          isFolder
          pick={pickers.showDirectoryPicker && (async () => [await pickers.showDirectoryPicker!()])}
          onParts={openParts}
        />
      </div>
      <p class="form-note">
        {pickers.showDirectoryPicker
          ? 'This browser remembers where the files are and asks for permission before it reads them again. It may not remember dropped files.'
          : 'This browser does not remember the files. Choose them again after you close the tab.'}
      </p>
      {message && (
        <p class="row-failure" role="alert">
          {message}
        </p>
      )}
      <ul class="others" aria-label="Local files">
        {saved.map((model) => (
          <li key={model.id}>
            <span class="other-name">{model.name}</span> {formatSize(model.sizeBytes)}
            <Action label="Open" title={model.name} onClick={() => void openParts(reopen(model))} />
            <Action label="Remove from list" title={model.name} onClick={() => onRemove(model)} />
          </li>
        ))}
      </ul>
    </div>
  )
}

interface FileButtonProps {
  readonly label: string
  readonly accept?: string
  readonly isFolder?: boolean
  readonly pick: (() => Promise<readonly LocalPart[]>) | undefined
  readonly onParts: (parts: Promise<readonly LocalPart[]>) => Promise<void>
}

function FileButton({ label, accept, isFolder = false, pick, onParts }: FileButtonProps) {
  if (pick) {
    return (
      <button type="button" class="secondary" onClick={() => void onParts(pick())}>
        {label}
      </button>
    )
  }
  return (
    <label class="secondary file-button">
      {label}
      <input
        class="visually-hidden"
        type="file"
        multiple
        accept={accept}
        ref={(input) => {
          if (input) input.webkitdirectory = isFolder
        }}
        onChange={({ currentTarget }) => {
          void onParts(Promise.resolve([...(currentTarget.files ?? [])]))
          // Reset, so that choosing the same files again fires `change`.
          currentTarget.value = ''
        }}
      />
    </label>
  )
}

const backendNames = { auto: 'Automatic', ...fileRuntimeNames } as const

function NamedPart({ onAdd }: Pick<Props, 'onAdd'>) {
  return (
    <form
      class="custom-form"
      onSubmit={(event) => {
        event.preventDefault()
        const data = new FormData(event.currentTarget)
        const backend = String(data.get('backend')) as AddedModel['backend']
        onAdd({ model: String(data.get('model')).trim(), backend })
        event.currentTarget.reset()
      }}
    >
      <label>
        Hugging Face name or URL
        <input
          name="model"
          required
          spellcheck={false}
          autocomplete="off"
          placeholder="owner/name or https://…/model.gguf"
          aria-describedby="named-note"
        />
      </label>
      <label>
        Backend
        <select name="backend">
          {Object.entries(backendNames).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <p class="form-note" id="named-note">
        <code>owner/name</code> is a repository on the Hugging Face hub, <code>owner/name/file.gguf</code> a
        file in it. Other servers must allow requests from this page (CORS).
      </p>
      <button type="submit" class="secondary">
        Add to list
      </button>
    </form>
  )
}

function ServerPart({ onServer }: Pick<Props, 'onServer'>) {
  return (
    <form
      class="custom-form"
      onSubmit={(event) => {
        event.preventDefault()
        const data = new FormData(event.currentTarget)
        onServer(String(data.get('server')).trim(), String(data.get('model')).trim())
      }}
    >
      <label>
        OpenAI-compatible server
        <input name="server" type="url" required spellcheck={false} placeholder="http://localhost:8000/v1" />
      </label>
      <label>
        Model name
        <input name="model" required spellcheck={false} autocomplete="off" />
      </label>
      <p class="form-note">Nothing is downloaded. Your messages are sent to this server.</p>
      <button type="submit" class="secondary">
        Use server
      </button>
    </form>
  )
}
