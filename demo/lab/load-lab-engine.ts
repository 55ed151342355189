import { createEngine, type BackendFactory, type Engine, type EngineOptions } from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { onnx } from 'rivulet/onnx'
import type { LabSettings } from './lab-settings.js'

type LoadOptions = Pick<EngineOptions, 'onProgress' | 'onRecovery' | 'signal'> & {
  /** Makes its workers, where they are not to be the library's own. */
  readonly worker?: (() => Worker) | undefined
}

/** @throws RivuletError as `createEngine` */
export function loadLabEngine(
  settings: LabSettings,
  { worker, ...options }: LoadOptions = {},
): Promise<Engine> {
  return createEngine({
    backend: createBackend(settings, worker),
    model: locateLabModel(settings),
    ...options,
  })
}

/** The model's address, or its name on the hub. */
export function locateLabModel({ model, runsOn }: LabSettings): string | URL {
  const builtIn = runsOn === 'llama-cpp' ? 'models/stories.gguf' : 'models/stories/'
  return model || new URL(builtIn, document.baseURI)
}

function createBackend({ runsOn, dtype }: LabSettings, worker: (() => Worker) | undefined): BackendFactory {
  if (runsOn === 'llama-cpp') return llamaCpp({ device: 'wasm', worker })
  return onnx({ device: runsOn === 'onnx-webgpu' ? 'webgpu' : 'wasm', dtype: dtype || undefined, worker })
}
