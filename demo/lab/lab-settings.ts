import type { GenerateOptions } from 'rivulet'
import { onnxDtypes, type OnnxDtype } from 'rivulet/onnx'

/** The configuration of one of the lab's engines and its sampling options. */
export interface LabSettings {
  readonly backend: keyof typeof backendChoices
  /** A URL or a Hugging Face name; empty for the model that is served with this page. */
  readonly model: string
  /** Empty to let the library choose. Only `onnx()` uses it. */
  readonly dtype: OnnxDtype | ''
  readonly temperature: number
  readonly maxTokens: number
}

export const backendChoices = {
  'onnx-wasm': 'ONNX Runtime, WebAssembly',
  'onnx-webgpu': 'ONNX Runtime, WebGPU',
  'llama-cpp': 'llama.cpp, WebAssembly',
} as const

export const dtypeChoices: readonly LabSettings['dtype'][] = ['', ...onnxDtypes]

export const defaultSettings: LabSettings = {
  backend: 'onnx-wasm',
  model: '',
  dtype: '',
  temperature: 0,
  maxTokens: 120,
}

/** Uses a fixed seed, so that two lanes with the same settings generate the same text. */
export function toGenerateOptions({ temperature, maxTokens }: LabSettings): GenerateOptions {
  return { temperature, maxTokens, seed: 1 }
}

/** Whether one engine can serve both settings. */
export function canShareEngine(first: LabSettings, second: LabSettings): boolean {
  return (['backend', 'model', 'dtype'] as const).every((name) => first[name] === second[name])
}
