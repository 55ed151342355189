import type { SamplingOptions } from 'rivulet'
import {
  backendChoices,
  deviceChoices,
  dtypeChoices,
  modelPresets,
  takesGguf,
  type ModelChoice,
} from './model-choice.js'
import { pageElement } from './page-element.js'

export interface Settings {
  /** What to generate with; the library checks the values. */
  readSampling(): SamplingOptions
}

/** The dialog with sampling options and the choice of the model. */
export function createSettings(choice: ModelChoice, onLoad: (choice: ModelChoice) => void): Settings {
  const dialog = pageElement('settings', HTMLDialogElement)
  const model = pageElement('model-source', HTMLInputElement)
  const server = pageElement('server', HTMLInputElement)
  const serverLabel = pageElement('server-label', HTMLElement)
  const localChoices = pageElement('local-choices', HTMLElement)
  const backend = pageElement('backend-choice', HTMLSelectElement)
  const device = pageElement('device-choice', HTMLSelectElement)
  const dtype = pageElement('dtype-choice', HTMLSelectElement)
  const dtypeLabel = pageElement('dtype-label', HTMLElement)
  fillSelect(backend, backendChoices, choice.backend)
  fillSelect(device, deviceChoices, choice.device)
  fillSelect(dtype, dtypeChoices, choice.dtype)
  model.value = choice.model
  server.value = choice.server
  fillPresets((preset) => {
    model.value = preset
    if (backend.value === 'remote' || backend.value === 'web-llm') backend.value = 'auto'
    showFields()
  })
  function showFields(): void {
    const isServer = backend.value === 'remote'
    serverLabel.hidden = !isServer
    server.required = isServer
    localChoices.hidden = isServer || backend.value === 'web-llm'
    // A GGUF file has the weights that it has.
    dtypeLabel.hidden = takesGguf({ backend: backend.value, model: model.value.trim() })
  }
  for (const field of [backend, model]) field.addEventListener('input', showFields)
  showFields()

  pageElement('open-settings', HTMLButtonElement).addEventListener('click', () => dialog.showModal())
  pageElement('close-settings', HTMLButtonElement).addEventListener('click', () => dialog.close())
  dialog.addEventListener('click', ({ target }) => {
    // The dialog's own box is covered by its content: a click on it is a click on the backdrop.
    if (target === dialog) dialog.close()
  })
  pageElement('model-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault()
    dialog.close()
    onLoad({
      model: model.value.trim(),
      backend: backend.value,
      server: server.value.trim(),
      device: device.value,
      dtype: dtype.value,
    })
  })

  const temperature = pageElement('temperature', HTMLInputElement)
  const maxTokens = pageElement('max-tokens', HTMLInputElement)
  const seed = pageElement('seed', HTMLInputElement)
  return {
    readSampling: () => ({
      ...(temperature.value && { temperature: temperature.valueAsNumber }),
      ...(maxTokens.value && { maxTokens: maxTokens.valueAsNumber }),
      ...(seed.value && { seed: seed.valueAsNumber }),
    }),
  }
}

function fillPresets(onChoose: (model: string) => void): void {
  const presets = pageElement('model-presets', HTMLElement)
  for (const [label, model] of Object.entries(modelPresets)) {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = label
    button.addEventListener('click', () => onChoose(model))
    presets.append(button)
  }
}

function fillSelect(select: HTMLSelectElement, choices: Record<string, string>, value: string): void {
  // A value from the address that is none of these is shown as it is: the library says what is wrong with it.
  const all = value in choices ? choices : { ...choices, [value]: value }
  for (const [name, label] of Object.entries(all)) select.add(new Option(label, name, false, name === value))
}
