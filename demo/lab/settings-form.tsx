import type { ComponentChildren } from 'preact'
import { dtypeChoices, backendChoices, type LabSettings } from './lab-settings.js'

interface SettingsFormProps {
  /** The name of the fieldset. */
  readonly legend: string
  readonly settings: LabSettings
  readonly isLocked: boolean
  readonly onChange: (settings: LabSettings) => void
}

/** Edits the settings of one of the lab's engines. */
export function SettingsForm({ legend, settings, isLocked, onChange }: SettingsFormProps) {
  const change = (changed: Partial<LabSettings>) => onChange({ ...settings, ...changed })
  return (
    <fieldset class="lab-settings" disabled={isLocked}>
      <legend>{legend}</legend>
      <BackendField settings={settings} onChange={change} />
      <label>
        Model
        <input
          type="text"
          placeholder="Built-in model"
          spellcheck={false}
          value={settings.model}
          onChange={({ currentTarget }) => change({ model: currentTarget.value.trim() })}
        />
      </label>
      {settings.backend !== 'llama-cpp' && (
        <label>
          Quantization (dtype)
          <select
            value={settings.dtype}
            onChange={({ currentTarget }) => change({ dtype: currentTarget.value as LabSettings['dtype'] })}
          >
            {dtypeChoices.map((dtype) => (
              <option key={dtype} value={dtype}>
                {dtype || 'Automatic'}
              </option>
            ))}
          </select>
        </label>
      )}
      <NumberField
        value={settings.temperature}
        min={0}
        step={0.1}
        onChange={(temperature) => change({ temperature })}
      >
        Temperature
      </NumberField>
      <NumberField
        value={settings.maxTokens}
        min={1}
        step={1}
        onChange={(maxTokens) => change({ maxTokens })}
      >
        Max tokens
      </NumberField>
    </fieldset>
  )
}

interface BackendFieldProps {
  readonly settings: Pick<LabSettings, 'backend'>
  readonly onChange: (changed: Pick<LabSettings, 'backend'>) => void
}

export function BackendField({ settings, onChange }: BackendFieldProps) {
  return (
    <label>
      Backend
      <select
        value={settings.backend}
        onChange={({ currentTarget }) => onChange({ backend: currentTarget.value as LabSettings['backend'] })}
      >
        {Object.entries(backendChoices).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}

interface NumberFieldProps {
  readonly value: number
  readonly min: number
  readonly step: number
  readonly onChange: (value: number) => void
  readonly children: ComponentChildren
}

export function NumberField({ value, min, step, onChange, children }: NumberFieldProps) {
  return (
    <label>
      {children}
      <input
        type="number"
        min={min}
        step={step}
        value={value}
        onChange={({ currentTarget }) => {
          if (currentTarget.value !== '') onChange(currentTarget.valueAsNumber)
        }}
      />
    </label>
  )
}
