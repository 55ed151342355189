import type { GenerateOptions } from 'rivulet'
import { onnxDtypes, type OnnxDtype } from 'rivulet/onnx'

/** What one of the lab's engines runs, and how it answers. */
export interface LabSettings {
  readonly runsOn: keyof typeof runsOnChoices
  /** Empty is the model that is served with this page. */
  readonly model: string
  /** Empty is what the library takes by itself; of `onnx()` alone. */
  readonly dtype: OnnxDtype | ''
  readonly temperature: number
  readonly maxTokens: number
}

export const runsOnChoices = {
  'onnx-wasm': 'ONNX Runtime, WebAssembly',
  'onnx-webgpu': 'ONNX Runtime, WebGPU',
  'llama-cpp': 'llama.cpp, WebAssembly',
} as const

export const dtypeChoices: readonly LabSettings['dtype'][] = ['', ...onnxDtypes]

export const defaultSettings: LabSettings = {
  runsOn: 'onnx-wasm',
  model: '',
  dtype: '',
  temperature: 0,
  maxTokens: 120,
}

/** The seed is always the same: two lanes with the same settings say the same. */
export function toGenerateOptions({ temperature, maxTokens }: LabSettings): GenerateOptions {
  return { temperature, maxTokens, seed: 1 }
}

/** Whether the same engine can serve both. */
export function needSameEngine(first: LabSettings, second: LabSettings): boolean {
  return (['runsOn', 'model', 'dtype'] as const).every((name) => first[name] === second[name])
}
