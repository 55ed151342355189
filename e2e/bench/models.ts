import { cpSync, existsSync, linkSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fillWeights, readSeededTensors } from '../models/fill-weights.js'
import { preparePython, prepareSmolLm2, runScript, smolLm2Gguf, type Prepared } from '../models/prepare.js'
import type { SectionName } from './page/main.js'
import type { BenchDtype, BenchModel } from './page/subject.js'

/** Contains a folder for each model folder. */
export const modelsFolder = resolve(import.meta.dirname, '../../.cache/models')

/** A model to measure: a model folder, and the dtype for each device. */
export interface Model {
  /** A folder below `modelsFolder`. Models of the same shape share one. */
  readonly folder: string
  readonly dtypes: Readonly<Partial<Record<'webgpu' | 'wasm', BenchDtype>>>
  /** The sections that use the model; undefined for all but those of a graphics card. */
  readonly only?: readonly SectionName[]
}

const gpuSections: readonly SectionName[] = ['gpu', 'gpu-stack']

/** A model with seeded random weights (see `random_llama.py`), for a graphics card only. */
const seeded = (shape: string, dtype: BenchDtype) => ({
  folder: `bench-${shape}`,
  dtypes: { webgpu: dtype },
  only: gpuSections,
  prepare: () => prepareSeeded(shape, dtype),
})

const models = {
  // So small that the overhead around the kernels is visible. Its context is too short for the other sections.
  stories: {
    folder: 'stories',
    dtypes: { webgpu: 'q8', wasm: 'q8' },
    only: ['llama-cpp', 'llama-cpp-gpu', 'transports'],
    prepare: copyStories,
  },
  'bench-135m': {
    folder: 'bench-135m',
    dtypes: { webgpu: 'q4', wasm: 'q4' },
    prepare: () => prepareSeeded('135m', 'q4'),
  },
  // The layers of these models, with smaller matrices: only the cost of the host is the same.
  'bench-qwen3-0.6b': decoderLayers('bench-qwen3-0.6b'),
  'bench-lfm2-350m': decoderLayers('bench-lfm2-350m'),
  // q8 on WebGPU, which has no kernel for the fractional zero points of the 4-bit weights (e2e/models/README.md).
  'smollm2-135m-instruct': {
    folder: 'smollm2-135m-instruct',
    dtypes: { webgpu: 'q8', wasm: 'q4' },
    prepare: prepareBothDtypes,
  },
  'bench-tiny-q4': seeded('tiny', 'q4'),
  'bench-tiny-q4f16': seeded('tiny', 'q4f16'),
  'bench-135m-q4f16': seeded('135m', 'q4f16'),
  'bench-135m-fp16': seeded('135m', 'fp16'),
  'bench-1b-q4': seeded('1b', 'q4'),
  'bench-3b-q4': seeded('3b', 'q4'),
  'bench-1b-q4f16': seeded('1b', 'q4f16'),
  'bench-3b-q4f16': seeded('3b', 'q4f16'),
} satisfies Record<string, Model & { prepare(): Prepared<string> }>

export type ModelName = keyof typeof models
export const modelNames = Object.keys(models) as ModelName[]

/** Returns the models without creating them. */
export const readModel = (name: ModelName): Model => models[name]

/** All models but the tiny ones, whose figures say nothing about a real model. */
export const defaultModelNames = modelNames.filter((name) => !name.startsWith('bench-tiny'))

/** Returns whether a section measures a model. */
export function isMeasured(section: SectionName, { only }: Model): boolean {
  return only ? only.includes(section) : section !== 'llama-cpp-gpu' && section !== 'transports'
}

/** Creates missing models, but for random weights. Reports and skips a model that is unavailable on this machine. */
export function prepareModels(names: readonly ModelName[]): ModelName[] {
  return names.filter((name) => {
    const prepared = models[name].prepare()
    if ('unavailable' in prepared) console.log(`Skipping model ${name}: ${prepared.unavailable}`)
    return 'value' in prepared
  })
}

/** Writes the weights of the models whose weights are random, where they are missing. */
export function fillModels(root: string, names: readonly ModelName[]): void {
  const folders = new Set(
    names.filter((name) => name.startsWith('bench-')).map((name) => readModel(name).folder),
  )
  for (const folder of folders) fillWeights(join(root, folder))
}

/** Describes a model that exists to the page. `url` serves the folder that contains `models/`. */
export function describeModel(
  root: string,
  url: string,
  name: ModelName,
  device: 'webgpu' | 'wasm',
): BenchModel {
  const { folder, dtypes } = readModel(name)
  const dtype = dtypes[device]
  if (dtype === undefined) throw new Error(`The benchmark does not run ${name} on ${device}.`)
  const graph = join(root, folder, 'onnx', graphFiles[dtype])
  const hasGguf = existsSync(join(root, folder, ggufFile))
  return {
    name,
    url: `${url}models/${folder}/`,
    dtype,
    weightBytes: countFileBytes(graph),
    step: countStepBytes(join(root, folder), graph, dtype),
    ggufUrl: hasGguf ? `${url}models/${folder}/${ggufFile}` : undefined,
  }
}

/** The graph file of each dtype, named as in transformers.js. */
const graphFiles = {
  q4: 'model_q4.onnx',
  q4f16: 'model_q4f16.onnx',
  fp16: 'model_fp16.onnx',
  q8: 'model_quantized.onnx',
} satisfies Record<BenchDtype, string>

export const ggufFile = 'model.gguf'
const embedded = resolve(import.meta.dirname, '../../demo/public/models')

/** Links a GGUF file into the folder of the same model's ONNX files. */
function linkGguf(folder: string, gguf: string): void {
  const path = join(modelsFolder, folder, ggufFile)
  if (!existsSync(path)) linkSync(gguf, path)
}

function copyStories(): Prepared<string> {
  const folder = join(modelsFolder, 'stories')
  cpSync(join(embedded, 'stories'), folder, { recursive: true })
  linkGguf('stories', join(embedded, 'stories.gguf'))
  return { value: folder }
}

/** Returns the size of the graph file and its external data. */
function countFileBytes(graph: string): number {
  return [graph, `${graph}_data`]
    .filter((path) => existsSync(path))
    .reduce((sum, path) => sum + statSync(path).size, 0)
}

/** Counts what a decode step must read. Known only for random weights: their list says which tensors a step reads. */
function countStepBytes(folder: string, graph: string, dtype: BenchDtype): BenchModel['step'] {
  const tensors = readSeededTensors(graph)
  if (!tensors) return undefined
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, number>
  const { num_hidden_layers: layers = 0, num_key_value_heads: heads = 0, head_dim: size = 0 } = config
  return {
    weightBytes: tensors.reduce((sum, { perToken, length }) => sum + (perToken ? length : 0), 0),
    cacheBytesPerToken: 2 * layers * heads * size * (dtype === 'q4' ? 4 : 2),
  }
}

function prepareSeeded(shape: string, dtype: BenchDtype): Prepared<string> {
  const folder = join(modelsFolder, `bench-${shape}`)
  const parameters = ['--shape', shape, '--dtype', dtype, '--output', folder]
  return prepareWith('random_llama.py', parameters, folder, `onnx/${graphFiles[dtype]}_data.json`)
}

/** @param name one of the names that `random_decoders.py` knows */
function decoderLayers(name: string) {
  const only: readonly SectionName[] = ['host']
  const folder = join(modelsFolder, name)
  return {
    folder: name,
    dtypes: { webgpu: 'q4' },
    only,
    prepare: () =>
      prepareWith('random_decoders.py', [name, '--output', folder], folder, 'tokenizer_config.json'),
  } as const
}

function prepareBothDtypes(): Prepared<string> {
  const q4 = prepareSmolLm2()
  if ('unavailable' in q4) return q4
  linkGguf('smollm2-135m-instruct', smolLm2Gguf)
  return prepareWith('convert_smollm2.py', ['--dtype', 'q8'], q4.value, 'onnx/model_quantized.onnx')
}

/** Runs a script, unless a file that it writes exists. */
function prepareWith(script: string, parameters: string[], folder: string, file: string): Prepared<string> {
  if (existsSync(join(folder, file))) return { value: folder }
  const python = preparePython()
  if ('unavailable' in python) return python
  console.log(`Creating ${join(folder, file)} …`)
  const { status, output } = runScript(script, ...parameters)
  if (status !== 0) throw new Error(`${script} failed:\n${output}`)
  return { value: folder }
}
