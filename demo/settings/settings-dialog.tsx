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
  /** Loads the model again, by what is set now. */
  readonly onReload: () => void
}

const samplingFields = {
  temperature: {
    label: 'Temperature',
    explanation: 'How freely words are chosen: 0 always takes the likeliest, 1 chooses as the model learnt.',
    placeholder: 'the model’s',
  },
  topP: {
    label: 'Top-p',
    explanation: 'Chooses only among the likeliest tokens that together have this probability; 1 is all.',
    placeholder: 'the model’s',
  },
  topK: {
    label: 'Top-k',
    explanation: 'Chooses only among this many of the likeliest tokens; 0 is all.',
    placeholder: 'the model’s',
  },
  maxTokens: {
    label: 'Most tokens',
    explanation: 'Where an answer is cut off; a token is about three quarters of a word.',
    placeholder: 'what fits',
  },
  seed: {
    label: 'Seed',
    explanation: 'The same seed with the same question and settings gives the same answer again.',
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
        <p class="form-note">From the next message on.</p>
        <TextField
          type="textarea"
          label="System prompt"
          explanation="Instructions that every conversation begins with, unseen."
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
        <h3>Running the model</h3>
        <p class="form-note">From the next time that a model is loaded.</p>
        <NumberField
          label="Context length"
          explanation="Prompt and answer together, in tokens: fewer take less memory. llama.cpp and WebLLM take it."
          placeholder="the model’s"
          value={current.contextLength}
          check={checkContextLength}
          onChange={(contextLength) => change({ contextLength })}
        />
        <BackendOrder order={current.backendOrder} onChange={(backendOrder) => change({ backendOrder })} />
        <div class="fields wide">
          <TextField
            label="Server"
            explanation="A server with OpenAI’s API that answers where the backends before it cannot; your questions go there then."
            placeholder="http://localhost:8000/v1"
            value={current.server}
            check={checkServer}
            onChange={(server) => change({ server })}
          />
          <TextField
            label="The server’s model"
            explanation="What the server calls the model; without it the server is not used."
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
          Load the model again
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
