import type { BackendFactory, ModelSource } from 'rivulet'
import { onnx, type OnnxDevice, type OnnxDtype } from 'rivulet/onnx'

/** What to load, as the page's address says it. */
export interface ModelChoice {
  /** Empty is the model that is served with this page. */
  readonly model: string
  readonly device: string
  /** Empty is what the library takes by itself. */
  readonly dtype: string
}

const defaultChoice = { model: '', device: 'auto', dtype: '' } satisfies ModelChoice

export const deviceChoices = {
  auto: 'Automatic',
  webgpu: 'WebGPU',
  wasm: 'WebAssembly',
} satisfies Record<OnnxDevice, string>

export const dtypeChoices = {
  '': 'Automatic',
  q4f16: 'q4f16',
  q4: 'q4',
  fp16: 'fp16',
  q8: 'q8',
  fp32: 'fp32',
} satisfies Record<'' | OnnxDtype, string>

export function readModelChoice(): ModelChoice {
  const parameters = new URLSearchParams(location.search)
  const read = (name: keyof ModelChoice) => parameters.get(name) || defaultChoice[name]
  return { model: read('model'), device: read('device'), dtype: read('dtype') }
}

/** Puts the choice into the page's address, so that it can be shared and survives a reload. */
export function writeModelChoice(choice: ModelChoice): void {
  const url = new URL(location.href)
  for (const name of Object.keys(defaultChoice) as (keyof ModelChoice)[]) {
    if (choice[name] === defaultChoice[name]) url.searchParams.delete(name)
    else url.searchParams.set(name, choice[name])
  }
  history.replaceState(null, '', url)
}

/** The model that is served with this page, or the one that was chosen. */
export function modelSource({ model }: ModelChoice): ModelSource {
  return model || new URL('models/stories/', document.baseURI)
}

/** @throws RivuletError `invalid-option`: the library, not this page, knows which values there are */
export function createBackend({ device, dtype }: ModelChoice): BackendFactory {
  return onnx({
    device: device as OnnxDevice,
    ...(dtype && { dtype: dtype as OnnxDtype }),
  })
}

/** A model folder's URL as people call it: `owner/name` on the hub, the folder's name elsewhere. */
export function nameModel(folder: string): string {
  const { hostname, pathname } = new URL(folder)
  const segments = pathname.split('/').filter(Boolean)
  if (hostname === 'huggingface.co') return segments.slice(0, 2).join('/')
  return decodeURIComponent(segments.at(-1) ?? hostname)
}
