import { readServedSize, servedUrl, smolLm2, type ModelChoice } from '../model-choice.js'

/** A backend that can run the picker's models. */
export type Runtime = FileRuntime | 'prompt-api'
/** A backend whose models are files of the user’s choice. */
export type FileRuntime = 'onnx' | 'llama-cpp' | 'web-llm'

export const fileRuntimeNames = {
  onnx: 'ONNX Runtime',
  'llama-cpp': 'llama.cpp',
  'web-llm': 'WebLLM',
} satisfies Record<FileRuntime, string>

export const runtimeNames = {
  ...fileRuntimeNames,
  'prompt-api': 'Prompt API',
} satisfies Record<Runtime, string>

/** One model on one backend. Entries with the same name share a card. */
export interface ModelEntry {
  readonly id: string
  readonly name: string
  readonly about: string
  readonly runtime: Runtime
  readonly licence: string
  /** Download size; undefined if only the server knows it, when the download starts. */
  readonly sizeBytes?: number | undefined
  /** Weights and KV cache at the library's default context length. */
  readonly memoryBytes?: number | undefined
  /** The model computes in 16-bit floats, which not every GPU supports. */
  readonly needsFloat16?: boolean | undefined
  /** The file or folder on this page's server, if the model is there. */
  readonly servedPath?: string | undefined
  readonly choice: Pick<ModelChoice, 'model' | 'backend'>
  /** The model's key in the model store; undefined if the backend uses its own cache. */
  readonly source?: string | URL | undefined
}

/** The entries of one model. */
export interface ModelCard extends Pick<ModelEntry, 'name' | 'about' | 'licence'> {
  readonly entries: readonly ModelEntry[]
}

/** Returns one card for each model, in the order of their first entries. */
export function groupByModel(entries: readonly ModelEntry[]): readonly ModelCard[] {
  const cards = new Map<string, ModelCard & { readonly entries: ModelEntry[] }>()
  for (const entry of entries) {
    const { name, about, licence } = entry
    const card = cards.get(name) ?? { name, about, licence, entries: [] }
    card.entries.push(entry)
    cards.set(name, card)
  }
  return [...cards.values()]
}

/** llama.cpp stores a 16-bit key and a 16-bit value per token, layer, KV head and head dimension. */
const kvCacheBytes = (layers: number, kvHeads: number, headSize: number, tokens = 4096) =>
  2 * 2 * layers * kvHeads * headSize * tokens

const smolLm2Facts = {
  name: 'SmolLM2 135M Instruct',
  about: 'Small enough for any device. Simple answers in English.',
  licence: 'Apache 2.0',
}
const qwen3 = {
  name: 'Qwen3 0.6B',
  about: 'Reasons, calls tools, and speaks many languages. A good first model.',
  licence: 'Apache 2.0',
}
const gemma3 = {
  name: 'Gemma 3 1B',
  about: 'Fluent answers in many languages.',
  licence: 'Gemma Terms of Use',
}
const lfm2 = {
  name: 'LFM2 350M',
  about: 'Fast on any device, and calls tools.',
  licence: 'LFM Open License 1.0',
}
const smolLm3 = {
  name: 'SmolLM3 3B',
  about: 'Reasons and calls tools, in six languages. Needs a recent computer.',
  licence: 'Apache 2.0',
}
const llama32 = {
  name: 'Llama 3.2 1B Instruct',
  about: 'Fluent answers. Needs a recent computer.',
  licence: 'Llama 3.2 Community License',
}
const phi4Mini = {
  name: 'Phi-4 mini',
  about: 'The most capable model in this list. Needs a GPU with enough memory.',
  licence: 'MIT',
}

/**
 * Models on the Hugging Face hub, newest families first. Sizes are the file sizes on 2026-11-26. Layers and heads come from each
 * model's `config.json`. `docs/guides/which-models-run.md` says how the architectures are tested.
 */
export const hubModels = [
  createOnnx({ ...qwen3, id: 'qwen3-0.6b-onnx', model: 'onnx-community/Qwen3-0.6B-ONNX' }),
  createGguf({
    ...qwen3,
    id: 'qwen3-0.6b-gguf',
    model: 'Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf',
    sizeBytes: 639_446_688,
    cacheBytes: kvCacheBytes(28, 8, 128),
  }),
  createMlc({ ...qwen3, model: 'Qwen3-0.6B-q4f16_1-MLC', memoryBytes: 1403.34e6 }),
  createOnnx({ ...gemma3, id: 'gemma-3-1b-onnx', model: 'onnx-community/gemma-3-1b-it-ONNX' }),
  createGguf({
    ...gemma3,
    id: 'gemma-3-1b-gguf',
    model: 'ggml-org/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf',
    sizeBytes: 806_058_240,
    cacheBytes: kvCacheBytes(26, 1, 256),
  }),
  createMlc({ ...gemma3, model: 'gemma3-1b-it-q4f16_1-MLC', memoryBytes: 711.07e6 }),
  createOnnx({ ...lfm2, id: 'lfm2-350m-onnx', model: 'onnx-community/LFM2-350M-ONNX' }),
  createGguf({
    ...lfm2,
    id: 'lfm2-350m-gguf',
    model: 'LiquidAI/LFM2-350M-GGUF/LFM2-350M-Q4_K_M.gguf',
    sizeBytes: 229_309_376,
    // Six of its sixteen layers have attention.
    cacheBytes: kvCacheBytes(6, 8, 64),
  }),
  createOnnx({ ...smolLm3, id: 'smollm3-3b-onnx', model: 'HuggingFaceTB/SmolLM3-3B-ONNX' }),
  createGguf({
    ...smolLm3,
    id: 'smollm3-3b-gguf',
    model: 'ggml-org/SmolLM3-3B-GGUF/SmolLM3-Q4_K_M.gguf',
    sizeBytes: 1_915_305_312,
    cacheBytes: kvCacheBytes(36, 4, 128),
  }),
  createOnnx({ ...llama32, id: 'llama-3.2-1b-onnx', model: 'onnx-community/Llama-3.2-1B-Instruct-ONNX' }),
  createGguf({
    ...llama32,
    id: 'llama-3.2-1b-gguf',
    model: 'bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf',
    sizeBytes: 807_694_464,
    cacheBytes: kvCacheBytes(16, 8, 64),
  }),
  createMlc({ ...llama32, model: 'Llama-3.2-1B-Instruct-q4f16_1-MLC', memoryBytes: 879.04e6 }),
  createOnnx({ ...phi4Mini, id: 'phi-4-mini-onnx', model: 'onnx-community/Phi-4-mini-instruct-ONNX-GQA' }),
  createGguf({
    ...phi4Mini,
    id: 'phi-4-mini-gguf',
    model: 'unsloth/Phi-4-mini-instruct-GGUF/Phi-4-mini-instruct-Q4_K_M.gguf',
    sizeBytes: 2_491_874_272,
    cacheBytes: kvCacheBytes(32, 8, 128),
  }),
  createMlc({ ...phi4Mini, model: 'Phi-4-mini-instruct-q4f16_1-MLC', memoryBytes: 3437.58e6 }),
  createGguf({
    id: 'smollm2-360m-gguf',
    name: 'SmolLM2 360M Instruct',
    about: 'Short answers in English.',
    licence: 'Apache 2.0',
    model: 'ngxson/SmolLM2-360M-Instruct-Q8_0-GGUF/smollm2-360m-instruct-q8_0.gguf',
    sizeBytes: 386_404_992,
    cacheBytes: kvCacheBytes(32, 5, 64),
  }),
] satisfies readonly ModelEntry[]

/** The model that some browsers have themselves. The row says why another browser has none. */
const browserModel: ModelEntry = {
  id: 'browser-model',
  name: 'The browser’s own model',
  about: 'Comes with Chrome and Edge on some devices. Nothing is downloaded for this page.',
  licence: 'The browser’s terms',
  runtime: 'prompt-api',
  choice: { model: '', backend: 'prompt-api' },
}

/** Only the server knows the size of the weights that fit this device. */
function createOnnx({
  model,
  ...facts
}: Pick<ModelEntry, 'id' | 'name' | 'about' | 'licence'> & { readonly model: string }): ModelEntry {
  return { ...facts, runtime: 'onnx', choice: { model, backend: 'onnx' }, source: model }
}

function createGguf({
  model,
  cacheBytes,
  ...facts
}: Pick<ModelEntry, 'id' | 'name' | 'about' | 'licence'> & {
  readonly model: string
  readonly sizeBytes: number
  readonly cacheBytes: number
}): ModelEntry {
  return {
    ...facts,
    runtime: 'llama-cpp',
    memoryBytes: facts.sizeBytes + cacheBytes,
    choice: { model, backend: 'llama-cpp' },
    source: model,
  }
}

/** Memory is `vram_required_MB` from web-llm's model list. */
function createMlc(
  facts: Pick<ModelEntry, 'name' | 'about' | 'licence' | 'memoryBytes'> & { readonly model: string },
): ModelEntry {
  const { model, ...rest } = facts
  return {
    ...rest,
    id: model.toLowerCase(),
    runtime: 'web-llm',
    needsFloat16: true,
    choice: { model, backend: 'web-llm' },
  }
}

const storiesCacheTokens = 512

/** Returns all entries of the picker, models served with this page first. Requests sizes only from this page's server. */
export async function readCatalogue(): Promise<readonly ModelEntry[]> {
  const [stories, smolLm2Models] = await Promise.all([readStories(), readSmolLm2()])
  // `npm start` has prepared it: it is as near as the built-in model.
  const isPrepared = smolLm2Models.some(({ servedPath }) => servedPath !== undefined)
  return isPrepared
    ? [...stories, ...smolLm2Models, browserModel, ...hubModels]
    : [...stories, browserModel, ...hubModels, ...smolLm2Models]
}

async function readStories(): Promise<readonly ModelEntry[]> {
  const [folderPath, filePath] = ['models/stories/', 'models/stories.gguf']
  const [folder, file] = [servedUrl(folderPath), servedUrl(filePath)]
  const [onnxBytes, ggufBytes] = await Promise.all(
    [new URL('onnx/model_quantized.onnx', folder), file].map(readServedSize),
  )
  const stories = {
    name: 'Stories',
    about: 'Included with this page. Writes simple stories for children.',
    licence: 'MIT',
  }
  const cacheBytes = kvCacheBytes(6, 2, 32, storiesCacheTokens)
  return [
    {
      ...stories,
      id: 'stories-onnx',
      runtime: 'onnx',
      sizeBytes: onnxBytes,
      servedPath: folderPath,
      // At run time the 2.8 million weights and the KV cache are 32-bit floats.
      memoryBytes: 4 * 2.8e6 + 2 * cacheBytes,
      choice: { model: '', backend: 'auto' },
      source: folder,
    },
    {
      ...stories,
      id: 'stories-gguf',
      runtime: 'llama-cpp',
      sizeBytes: ggufBytes,
      servedPath: filePath,
      memoryBytes: ggufBytes === undefined ? undefined : ggufBytes + cacheBytes,
      choice: { model: '', backend: 'llama-cpp' },
      source: file,
    },
  ]
}

async function readSmolLm2(): Promise<readonly ModelEntry[]> {
  const file = servedUrl(smolLm2.served)
  const servedBytes = await readServedSize(file)
  const sizeBytes = servedBytes ?? 105_454_432
  return [
    {
      ...smolLm2Facts,
      id: 'smollm2-135m-gguf',
      runtime: 'llama-cpp',
      sizeBytes,
      servedPath: servedBytes === undefined ? undefined : smolLm2.served,
      memoryBytes: sizeBytes + kvCacheBytes(30, 3, 64),
      choice: { model: smolLm2.name, backend: 'llama-cpp' },
      source: servedBytes === undefined ? smolLm2.gguf : file,
    },
    {
      ...smolLm2Facts,
      id: 'smollm2-135m-onnx',
      runtime: 'onnx',
      choice: { model: smolLm2.name, backend: 'onnx' },
      source: smolLm2.onnx,
    },
  ]
}

/** Whether `current` selects this entry. */
export function isChosen({ choice, runtime }: ModelEntry, current: ModelChoice): boolean {
  if (current.files || current.model !== choice.model) return false
  return current.backend === choice.backend || (current.backend === 'auto' && runtime === 'onnx')
}
