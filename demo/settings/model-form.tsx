import { useSignal } from '@preact/signals'
import {
  backendChoices,
  deviceChoices,
  dtypeChoices,
  modelPresets,
  takesGguf,
  type ModelChoice,
} from '../model-choice.js'

interface ModelFormProps {
  readonly choice: ModelChoice
  readonly onChoose: (choice: ModelChoice) => void
}

/** Chooses any model by URL or name, and what to run it on. */
export function ModelForm({ choice, onChoose }: ModelFormProps) {
  const draft = useSignal(choice)
  const { model, backend, server, device, dtype } = draft.value
  const change = (changed: Partial<ModelChoice>) => (draft.value = { ...draft.value, ...changed })
  const isServer = backend === 'remote'
  const isLocal = !isServer && backend !== 'web-llm'
  const choosePreset = (preset: string) => change({ model: preset, backend: isLocal ? backend : 'auto' })
  return (
    <form
      aria-labelledby="model-form-title"
      onSubmit={(event) => {
        event.preventDefault()
        onChoose({ ...draft.value, model: model.trim(), server: server.trim() })
      }}
    >
      <h3 id="model-form-title">Model</h3>
      <p class="form-note" id="model-note">
        The URL of a folder or a GGUF file, or <code>owner/name</code> on the Hugging Face hub. For WebLLM or
        a server, the name it uses for the model. Leave empty for the built-in model.
      </p>
      <div class="presets" role="group" aria-label="Model presets">
        {Object.entries(modelPresets).map(([label, preset]) => (
          <button key={label} type="button" onClick={() => choosePreset(preset)}>
            {label}
          </button>
        ))}
      </div>
      <label>
        Model
        <input
          type="text"
          aria-describedby="model-note"
          spellcheck={false}
          value={model}
          onInput={({ currentTarget }) => change({ model: currentTarget.value })}
        />
      </label>
      <Select
        label="Backend"
        choices={backendChoices}
        value={backend}
        onChange={(chosen) => change({ backend: chosen })}
      />
      {isServer && (
        <label>
          Server URL
          <input
            type="url"
            required
            placeholder="http://localhost:8000/v1"
            spellcheck={false}
            value={server}
            onInput={({ currentTarget }) => change({ server: currentTarget.value })}
          />
        </label>
      )}
      {isLocal && (
        <div class="fields">
          <Select
            label="Device"
            choices={deviceChoices}
            value={device}
            onChange={(chosen) => change({ device: chosen })}
          />
          {/* The weights of a GGUF file have a fixed type. */}
          {!takesGguf({ backend, model: model.trim() }) && (
            <Select
              label="Quantization (dtype)"
              choices={dtypeChoices}
              value={dtype}
              onChange={(chosen) => change({ dtype: chosen })}
            />
          )}
        </div>
      )}
      <button type="submit" class="primary">
        Load model
      </button>
    </form>
  )
}

interface SelectProps {
  readonly label: string
  readonly choices: Record<string, string>
  readonly value: string
  readonly onChange: (value: string) => void
}

function Select({ label, choices, value, onChange }: SelectProps) {
  // An unknown value from the page's URL is shown as it is; the library reports the error.
  const all = value in choices ? choices : { ...choices, [value]: value }
  return (
    <label>
      {label}
      <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
        {Object.entries(all).map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}
