import type { ComponentChildren } from 'preact'
import { dtypeChoices, runsOnChoices, type LabSettings } from './lab-settings.js'

interface SettingsFormProps {
  /** Of the group of fields. */
  readonly legend: string
  readonly settings: LabSettings
  readonly isLocked: boolean
  readonly onChange: (settings: LabSettings) => void
}

/** What one of the lab's engines runs, and how it answers. */
export function SettingsForm({ legend, settings, isLocked, onChange }: SettingsFormProps) {
  const change = (changed: Partial<LabSettings>) => onChange({ ...settings, ...changed })
  return (
    <fieldset class="lab-settings" disabled={isLocked}>
      <legend>{legend}</legend>
      <RunsOn settings={settings} onChange={change} />
      <label>
        Model
        <input
          type="text"
          placeholder="built in"
          spellcheck={false}
          value={settings.model}
          onChange={({ currentTarget }) => change({ model: currentTarget.value.trim() })}
        />
      </label>
      {settings.runsOn !== 'llama-cpp' && (
        <label>
          Weights
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
        Most tokens
      </NumberField>
    </fieldset>
  )
}

interface RunsOnProps {
  readonly settings: Pick<LabSettings, 'runsOn'>
  readonly onChange: (changed: Pick<LabSettings, 'runsOn'>) => void
}

export function RunsOn({ settings, onChange }: RunsOnProps) {
  return (
    <label>
      Runs on
      <select
        value={settings.runsOn}
        onChange={({ currentTarget }) => onChange({ runsOn: currentTarget.value as LabSettings['runsOn'] })}
      >
        {Object.entries(runsOnChoices).map(([value, name]) => (
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

function NumberField({ value, min, step, onChange, children }: NumberFieldProps) {
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
