import { cpSync, existsSync, linkSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { SectionName } from './page/main.js'
import { preparePython, prepareSmolLm2, runScript, smolLm2Gguf, type Prepared } from '../models/prepare.js'

/** Contains a folder for each model. */
export const modelsFolder = resolve(import.meta.dirname, '../../.cache/models')

/** A model folder in `modelsFolder`, and the dtype for each device. */
export interface PreparedModel {
  readonly name: string
  readonly dtypes: Readonly<Record<'webgpu' | 'wasm', 'q4' | 'q8'>>
  /** The file name of the same model as GGUF, in the same folder. */
  readonly gguf: string | undefined
  /** The sections that use the model; undefined for all. */
  readonly only?: readonly SectionName[]
}

const models = {
  // So small that the overhead around the kernels is visible. Its context is too short for the other sections.
  stories: { dtypes: { webgpu: 'q8', wasm: 'q8' }, only: ['llama-cpp'], prepare: copyStories },
  'bench-135m': { dtypes: { webgpu: 'q4', wasm: 'q4' }, prepare: prepareRandomModel },
  // The layers of these models, with smaller matrices: only the cost of the host is the same.
  'bench-qwen3-0.6b': { dtypes: { webgpu: 'q4', wasm: 'q4' }, only: ['host'], prepare: prepareRandomDecoder },
  'bench-lfm2-350m': { dtypes: { webgpu: 'q4', wasm: 'q4' }, only: ['host'], prepare: prepareRandomDecoder },
  // q8 on WebGPU, which has no kernel for the fractional zero points of the 4-bit weights (e2e/models/README.md).
  'smollm2-135m-instruct': { dtypes: { webgpu: 'q8', wasm: 'q4' }, prepare: prepareBothDtypes },
} satisfies Record<
  string,
  Pick<PreparedModel, 'dtypes' | 'only'> & { prepare(name: string): Prepared<string> }
>

export type ModelName = keyof typeof models
export const modelNames = Object.keys(models) as ModelName[]

/** Creates missing models. Reports and skips a model that is unavailable on this machine. */
export function prepareModels(names: readonly ModelName[]): PreparedModel[] {
  return names.flatMap((name) => {
    const { prepare, ...model } = models[name]
    const prepared = prepare(name)
    if ('value' in prepared) return { name, ...model, gguf: linkGguf(name) }
    console.log(`Skipping model ${name}: ${prepared.unavailable}`)
    return []
  })
}

const embedded = resolve(import.meta.dirname, '../../demo/public/models')

const ggufs: Partial<Record<ModelName, string>> = {
  stories: join(embedded, 'stories.gguf'),
  'smollm2-135m-instruct': smolLm2Gguf,
}

/** Links the GGUF file into the folder of the same model's ONNX files. @returns its file name */
function linkGguf(name: ModelName): string | undefined {
  const gguf = ggufs[name]
  if (gguf === undefined) return undefined
  const file = 'model.gguf'
  const path = join(modelsFolder, name, file)
  if (!existsSync(path)) linkSync(gguf, path)
  return file
}

function copyStories(name: string): Prepared<string> {
  const folder = join(modelsFolder, name)
  cpSync(join(embedded, name), folder, { recursive: true })
  return { value: folder }
}

/** Returns the size of the graph file and its external data. */
export function countWeightBytes(name: string, dtype: 'q4' | 'q8'): number {
  const folder = join(modelsFolder, name, 'onnx')
  const graphFile = { q4: 'model_q4.onnx', q8: 'model_quantized.onnx' }[dtype]
  return readdirSync(folder)
    .filter((file) => file.startsWith(graphFile))
    .reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
}

function prepareRandomModel(name: string): Prepared<string> {
  return prepareWith('random_llama.py', [], join(modelsFolder, name), 'tokenizer_config.json')
}

function prepareRandomDecoder(name: string): Prepared<string> {
  return prepareWith('random_decoders.py', [name], join(modelsFolder, name), 'tokenizer_config.json')
}

function prepareBothDtypes(name: string): Prepared<string> {
  const q4 = prepareSmolLm2()
  if ('unavailable' in q4) return q4
  return prepareWith(
    'convert_smollm2.py',
    ['--dtype', 'q8'],
    join(modelsFolder, name),
    'onnx/model_quantized.onnx',
  )
}

/** Runs a script, unless the last file that it writes exists. */
function prepareWith(
  script: string,
  parameters: string[],
  folder: string,
  lastFile: string,
): Prepared<string> {
  if (existsSync(join(folder, lastFile))) return { value: folder }
  const python = preparePython()
  if ('unavailable' in python) return python
  console.log(`Creating ${folder} …`)
  const { status, output } = runScript(script, ...parameters)
  if (status !== 0) throw new Error(`${script} failed:\n${output}`)
  return { value: folder }
}
