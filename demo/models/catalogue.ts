import { readServedSize, servedUrl, smolLm2, type ModelChoice } from '../model-choice.js'

/** A backend that can run the picker's models. */
export type Runtime = 'onnx' | 'llama-cpp' | 'web-llm'

export const runtimeNames = {
  onnx: 'ONNX Runtime',
  'llama-cpp': 'llama.cpp',
  'web-llm': 'WebLLM',
} satisfies Record<Runtime, string>

/** One entry of the picker: a model on one backend. */
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
  readonly choice: Pick<ModelChoice, 'model' | 'backend'>
  /** The model's key in the model store; undefined if the backend uses its own cache. */
  readonly source?: string | URL | undefined
}

/** llama.cpp stores a 16-bit key and a 16-bit value per token, layer, KV head and head dimension. */
const kvCacheBytes = (layers: number, kvHeads: number, headSize: number, tokens = 4096) =>
  2 * 2 * layers * kvHeads * headSize * tokens

const smolLm2About = 'Small enough for any device. A good first model.'

/**
 * Models on the Hugging Face hub. Sizes are the file sizes on 2026-11-26. Layers and heads come from each model's
 * `config.json`.
 */
export const hubModels = [
  {
    id: 'smollm2-135m-onnx',
    name: 'SmolLM2 135M Instruct',
    about: smolLm2About,
    runtime: 'onnx',
    licence: 'Apache 2.0',
    choice: { model: smolLm2.name, backend: 'onnx' },
    source: smolLm2.onnx,
  },
  createGguf({
    id: 'smollm2-360m-gguf',
    name: 'SmolLM2 360M Instruct',
    about: 'Short answers in English.',
    licence: 'Apache 2.0',
    model: 'ngxson/SmolLM2-360M-Instruct-Q8_0-GGUF/smollm2-360m-instruct-q8_0.gguf',
    sizeBytes: 386_404_992,
    cacheBytes: kvCacheBytes(32, 5, 64),
  }),
  createGguf({
    id: 'qwen2.5-0.5b-gguf',
    name: 'Qwen2.5 0.5B Instruct',
    about: 'Multilingual, with a small download.',
    licence: 'Apache 2.0',
    model: 'Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf',
    sizeBytes: 491_400_032,
    cacheBytes: kvCacheBytes(24, 2, 64),
  }),
  createGguf({
    id: 'llama-3.2-1b-gguf',
    name: 'Llama 3.2 1B Instruct',
    about: 'Fluent answers. Needs a recent computer.',
    licence: 'Llama 3.2 Community License',
    model: 'bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf',
    sizeBytes: 807_694_464,
    cacheBytes: kvCacheBytes(16, 8, 64),
  }),
  createGguf({
    id: 'qwen2.5-1.5b-gguf',
    name: 'Qwen2.5 1.5B Instruct',
    about: 'Multilingual, with some coding ability.',
    licence: 'Apache 2.0',
    model: 'Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf',
    sizeBytes: 1_117_320_736,
    cacheBytes: kvCacheBytes(28, 2, 128),
  }),
  createMlc({
    name: 'Llama 3.2 1B Instruct',
    about: 'Fluent answers. Needs a GPU.',
    licence: 'Llama 3.2 Community License',
    model: 'Llama-3.2-1B-Instruct-q4f16_1-MLC',
    memoryBytes: 879.04e6,
  }),
  createMlc({
    name: 'Qwen2.5 1.5B Instruct',
    about: 'Multilingual, with some coding ability. Needs a GPU.',
    licence: 'Apache 2.0',
    model: 'Qwen2.5-1.5B-Instruct-q4f16_1-MLC',
    memoryBytes: 1629.75e6,
  }),
  createMlc({
    name: 'Llama 3.2 3B Instruct',
    about: 'The most capable model in this list. Needs a GPU with enough memory.',
    licence: 'Llama 3.2 Community License',
    model: 'Llama-3.2-3B-Instruct-q4f16_1-MLC',
    memoryBytes: 2263.69e6,
  }),
] satisfies readonly ModelEntry[]

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
  const onnxFolder = servedUrl('models/stories/')
  const ggufFile = servedUrl('models/stories.gguf')
  const smolLm2File = servedUrl(smolLm2.served)
  const [onnxBytes, ggufBytes, smolLm2Bytes] = await Promise.all(
    [new URL('onnx/model_quantized.onnx', onnxFolder), ggufFile, smolLm2File].map(readServedSize),
  )
  const stories = {
    name: 'Stories',
    about: 'Included with this page. Writes simple stories for children.',
    licence: 'MIT',
  }
  const storiesCacheBytes = kvCacheBytes(6, 2, 32, storiesCacheTokens)
  const smolLm2Size = smolLm2Bytes ?? 105_454_432
  return [
    {
      ...stories,
      id: 'stories-onnx',
      runtime: 'onnx',
      sizeBytes: onnxBytes,
      // At run time the 2.8 million weights and the KV cache are 32-bit floats.
      memoryBytes: 4 * 2.8e6 + 2 * storiesCacheBytes,
      choice: { model: '', backend: 'auto' },
      source: onnxFolder,
    },
    {
      ...stories,
      id: 'stories-gguf',
      runtime: 'llama-cpp',
      sizeBytes: ggufBytes,
      memoryBytes: ggufBytes === undefined ? undefined : ggufBytes + storiesCacheBytes,
      choice: { model: '', backend: 'llama-cpp' },
      source: ggufFile,
    },
    {
      id: 'smollm2-135m-gguf',
      name: 'SmolLM2 135M Instruct',
      about: smolLm2About,
      runtime: 'llama-cpp',
      licence: 'Apache 2.0',
      sizeBytes: smolLm2Size,
      memoryBytes: smolLm2Size + kvCacheBytes(30, 3, 64),
      choice: { model: smolLm2.name, backend: 'llama-cpp' },
      source: smolLm2Bytes === undefined ? smolLm2.gguf : smolLm2File,
    },
    ...hubModels,
  ]
}

/** Whether `current` selects this entry. */
export function isChosen({ choice, runtime }: ModelEntry, current: ModelChoice): boolean {
  if (current.files || current.model !== choice.model) return false
  return current.backend === choice.backend || (current.backend === 'auto' && runtime === 'onnx')
}
