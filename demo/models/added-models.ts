import { nameModel, takesGguf } from '../model-choice.js'
import type { FileRuntime, ModelEntry } from './catalogue.js'

/** A model that the user added by its name on the hub or by its URL. */
export interface AddedModel {
  readonly model: string
  readonly backend: 'auto' | FileRuntime
}

const storageKey = 'rivulet-demo-models'

/** Returns the saved list; empty if nothing is saved. */
export function readAdded(): readonly AddedModel[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(storageKey) ?? '[]')
    return Array.isArray(stored) ? stored.filter(isAdded) : []
  } catch {
    return []
  }
}

function isAdded(value: unknown): value is AddedModel {
  const { model, backend } = (value ?? {}) as Partial<AddedModel>
  return typeof model === 'string' && ['auto', 'onnx', 'llama-cpp', 'web-llm'].includes(backend ?? '')
}

/** @returns whether the browser saved the list */
export function writeAdded(models: readonly AddedModel[]): boolean {
  try {
    localStorage.setItem(storageKey, JSON.stringify(models))
    return true
  } catch {
    return false
  }
}

export function describeAdded({ model, backend }: AddedModel): ModelEntry {
  const automatic = takesGguf({ model, backend }) ? 'llama-cpp' : 'onnx'
  const runtime = backend === 'auto' ? automatic : backend
  return {
    id: `added ${backend} ${model}`,
    name: nameModel(model),
    about: `Added by you: ${model}`,
    runtime,
    licence: 'See its source',
    choice: { model, backend },
    source: runtime === 'web-llm' ? undefined : model,
  }
}
