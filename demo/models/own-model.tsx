import { useState } from 'preact/hooks'
import type { AddedModel } from './added-models.js'
import { readDrop } from './dropped-parts.js'
import { formatSize } from './format-size.js'
import { mayRead, type KeptModel } from './kept-files.js'
import { Action } from './model-row.js'
import { recognizeModel, type OwnModel, type OwnPart } from './own-files.js'

/** Chromium's; elsewhere an input opens files, which cannot be opened again by themselves. */
interface FilePickers {
  showOpenFilePicker?(options: object): Promise<readonly FileSystemHandle[]>
  showDirectoryPicker?(): Promise<FileSystemHandle>
}

interface Props {
  readonly kept: readonly KeptModel[]
  readonly onFiles: (model: OwnModel) => void
  readonly onForget: (model: KeptModel) => void
  readonly onAdd: (model: AddedModel) => void
  readonly onServer: (server: string, model: string) => void
}

/** Models that the page does not list: files, names on the hub, addresses, servers. */
export function OwnModels(props: Props) {
  return (
    <section class="own" aria-labelledby="own-title">
      <h3 id="own-title">Your own</h3>
      <FilesPart {...props} />
      <NamedPart onAdd={props.onAdd} />
      <ServerPart onServer={props.onServer} />
    </section>
  )
}

function FilesPart({ kept, onFiles, onForget }: Props) {
  const [complaint, setComplaint] = useState('')
  const [isOver, setIsOver] = useState(false)
  const pickers = window as FilePickers

  async function take(parts: Promise<readonly OwnPart[]>): Promise<void> {
    try {
      const given = await parts
      setComplaint('')
      if (given.length > 0) onFiles(await recognizeModel(given))
    } catch (error) {
      // Who closes a picker wants nothing.
      if (error instanceof DOMException && error.name === 'AbortError') return
      setComplaint(error instanceof Error ? error.message : String(error))
    }
  }

  async function reopen({ handles, name }: KeptModel): Promise<readonly OwnPart[]> {
    if (await mayRead(handles)) return handles
    throw new Error(`The browser was not allowed to read ${name}.`)
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
        if (event.dataTransfer) void take(readDrop(event.dataTransfer))
      }}
    >
      <p>Drop a GGUF file or an ONNX folder here. It is read where it is and never leaves this device.</p>
      <div class="row-actions">
        <FileButton
          label="Choose a GGUF file"
          accept=".gguf"
          pick={pickers.showOpenFilePicker && (() => pickers.showOpenFilePicker!({ multiple: true }))}
          onParts={take}
        />
        <FileButton
          label="Choose an ONNX folder"
          isFolder
          pick={pickers.showDirectoryPicker && (async () => [await pickers.showDirectoryPicker!()])}
          onParts={take}
        />
      </div>
      <p class="form-note">
        {pickers.showDirectoryPicker
          ? 'This browser remembers where the files are, and asks you before it reads them again. Of what is dropped, it does where it can.'
          : 'This browser forgets the files when the tab is closed: choose them again then.'}
      </p>
      {complaint && (
        <p class="row-failure" role="alert">
          {complaint}
        </p>
      )}
      <ul class="others" aria-label="Your files">
        {kept.map((model) => (
          <li key={model.id}>
            <span class="other-name">{model.name}</span> {formatSize(model.sizeBytes)}
            <Action label="Open" title={model.name} onClick={() => void take(reopen(model))} />
            <Action label="Forget" title={model.name} onClick={() => onForget(model)} />
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
  readonly pick: (() => Promise<readonly OwnPart[]>) | undefined
  readonly onParts: (parts: Promise<readonly OwnPart[]>) => Promise<void>
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
          // So that the same files can be chosen again.
          currentTarget.value = ''
        }}
      />
    </label>
  )
}

const runsOn = {
  auto: 'Automatic',
  onnx: 'ONNX Runtime',
  'llama-cpp': 'llama.cpp',
  'web-llm': 'WebLLM',
} as const

function NamedPart({ onAdd }: Pick<Props, 'onAdd'>) {
  return (
    <form
      class="own-form"
      onSubmit={(event) => {
        event.preventDefault()
        const data = new FormData(event.currentTarget)
        const backend = String(data.get('backend')) as AddedModel['backend']
        onAdd({ model: String(data.get('model')).trim(), backend })
        event.currentTarget.reset()
      }}
    >
      <label>
        Name on the hub, or address
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
        Runtime
        <select name="backend">
          {Object.entries(runsOn).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <p class="form-note" id="named-note">
        <code>owner/name</code> is a folder of the Hugging Face hub, <code>owner/name/file.gguf</code> a file
        of it. Other servers have to allow this page to read them (CORS).
      </p>
      <button type="submit" class="secondary">
        Add to the list
      </button>
    </form>
  )
}

function ServerPart({ onServer }: Pick<Props, 'onServer'>) {
  return (
    <form
      class="own-form"
      onSubmit={(event) => {
        event.preventDefault()
        const data = new FormData(event.currentTarget)
        onServer(String(data.get('server')).trim(), String(data.get('model')).trim())
      }}
    >
      <label>
        Server with an OpenAI API
        <input name="server" type="url" required spellcheck={false} placeholder="http://localhost:8000/v1" />
      </label>
      <label>
        Its model
        <input name="model" required spellcheck={false} autocomplete="off" />
      </label>
      <p class="form-note">Nothing is downloaded. What you write is sent to that server.</p>
      <button type="submit" class="secondary">
        Use this server
      </button>
    </form>
  )
}
