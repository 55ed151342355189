import { createEngine, type BackendFactory, type Engine, type EngineOptions } from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { onnx } from 'rivulet/onnx'
import type { LabSettings } from './lab-settings.js'

type LoadOptions = Pick<EngineOptions, 'observer' | 'onProgress' | 'onRecovery' | 'signal'> & {
  /** Creates the workers; by default the library does. */
  readonly worker?: (() => Worker) | undefined
}

/** Creates an engine for the settings. @throws RivuletError like `createEngine` */
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

/** Returns the model's URL, or its name on the Hugging Face Hub. */
export function locateLabModel({ model, backend }: LabSettings): string | URL {
  const builtIn = backend === 'llama-cpp' ? 'models/stories.gguf' : 'models/stories/'
  return model || new URL(builtIn, document.baseURI)
}

function createBackend({ backend, dtype }: LabSettings, worker: (() => Worker) | undefined): BackendFactory {
  if (backend === 'llama-cpp') return llamaCpp({ device: 'wasm', worker })
  return onnx({ device: backend === 'onnx-webgpu' ? 'webgpu' : 'wasm', dtype: dtype || undefined, worker })
}
