import type { Signal } from '@preact/signals'
import { Dialog } from '../app/dialog.js'
import type { ModelChoice } from '../model-choice.js'
import { BackendOrder } from './backend-order.js'
import { NumberField, TextField } from './field.js'
import { ModelForm } from './model-form.js'
import {
  checkContextLength,
  checkSampling,
  checkServer,
  type SamplingName,
  type SettingsStore,
} from './settings.js'

export interface SettingsDialogProps {
  readonly isOpen: Signal<boolean>
  readonly settings: SettingsStore
  readonly choice: ModelChoice
  readonly onChoose: (choice: ModelChoice) => void
  /** Loads the model again with the current settings. */
  readonly onReload: () => void
}

const samplingFields = {
  temperature: {
    label: 'Temperature',
    explanation: 'Randomness: 0 always picks the most likely token, 1 follows the model’s probabilities.',
    placeholder: 'model default',
  },
  topP: {
    label: 'Top-p',
    explanation: 'Samples only from the most likely tokens that together have this probability; 1 means all.',
    placeholder: 'model default',
  },
  topK: {
    label: 'Top-k',
    explanation: 'Samples only from this many of the most likely tokens; 0 means all.',
    placeholder: 'model default',
  },
  maxTokens: {
    label: 'Max tokens',
    explanation: 'Maximum length of an answer. A token is about three quarters of a word.',
    placeholder: 'context limit',
  },
  seed: {
    label: 'Seed',
    explanation: 'The same seed, message and settings give the same answer.',
    placeholder: 'random',
  },
} satisfies Record<SamplingName, object>

export function SettingsDialog({ isOpen, settings, choice, onChoose, onReload }: SettingsDialogProps) {
  const { change } = settings
  const current = settings.current.value
  return (
    <Dialog isOpen={isOpen} title="Settings" class="settings">
      <section>
        <h3>Answers</h3>
        <p class="form-note">Changes apply to the next message.</p>
        <TextField
          type="textarea"
          label="System prompt"
          explanation="Instructions for the model, sent at the start of every chat. Not shown in the chat."
          placeholder="none"
          value={current.system}
          check={() => undefined}
          onChange={(system) => change({ system })}
        />
        <div class="fields">
          {Object.entries(samplingFields).map(([name, field]) => (
            <NumberField
              key={name}
              {...field}
              value={current[name as SamplingName]}
              check={(value) => checkSampling({ [name]: value })}
              onChange={(value) => change({ [name]: value })}
            />
          ))}
        </div>
      </section>
      <section>
        <h3>Model loading</h3>
        <p class="form-note">Changes apply the next time a model is loaded.</p>
        <NumberField
          label="Context length"
          explanation="Maximum tokens of prompt and answer together. Fewer tokens need less memory. Used by llama.cpp and WebLLM."
          placeholder="model default"
          value={current.contextLength}
          check={checkContextLength}
          onChange={(contextLength) => change({ contextLength })}
        />
        <BackendOrder order={current.backendOrder} onChange={(backendOrder) => change({ backendOrder })} />
        <div class="fields wide">
          <TextField
            label="Fallback server"
            explanation="OpenAI-compatible server, used if no backend before it in the order can run the model. Your messages are then sent there."
            placeholder="http://localhost:8000/v1"
            value={current.server}
            check={checkServer}
            onChange={(server) => change({ server })}
          />
          <TextField
            label="Server model"
            explanation="The model’s name on the server. Without it, the server is not used."
            placeholder="none"
            value={current.serverModel}
            check={() => undefined}
            onChange={(serverModel) => change({ serverModel })}
          />
        </div>
        <button
          type="button"
          class="primary"
          onClick={() => {
            isOpen.value = false
            onReload()
          }}
        >
          Reload model
        </button>
      </section>
      <ModelForm
        choice={choice}
        onChoose={(chosen) => {
          isOpen.value = false
          onChoose(chosen)
        }}
      />
    </Dialog>
  )
}
