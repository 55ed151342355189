import { measureServed, servedUrl, smolLm2, type ModelChoice } from '../model-choice.js'

/** A runtime that the picker names. */
export type Runtime = 'onnx' | 'llama-cpp' | 'web-llm'

export const runtimeNames = {
  onnx: 'ONNX Runtime',
  'llama-cpp': 'llama.cpp',
  'web-llm': 'WebLLM',
} satisfies Record<Runtime, string>

/** A model on one runtime, as the picker offers it. */
export interface ModelEntry {
  readonly id: string
  readonly name: string
  readonly about: string
  readonly runtime: Runtime
  readonly licence: string
  /** Of the files that are fetched; undefined where their server tells it when the download begins. */
  readonly sizeBytes?: number | undefined
  /** Of weights and KV cache at the context that the library takes by itself. */
  readonly memoryBytes?: number | undefined
  /** It computes in 16-bit floats, which not every graphics adapter does. */
  readonly needsFloat16?: boolean | undefined
  readonly choice: Pick<ModelChoice, 'model' | 'backend'>
  /** What the model store knows it by; undefined where the runtime has a store of its own. */
  readonly source?: string | URL | undefined
}

/** A key and a value for each layer and head, 16 bits each: what llama.cpp keeps of a token. */
const kvCacheBytes = (layers: number, kvHeads: number, headSize: number, tokens = 4096) =>
  2 * 2 * layers * kvHeads * headSize * tokens

/**
 * What the hub has. Sizes are those of the files on the hub on 2026-11-26. Layers and heads are of each model's
 * `config.json`.
 */
export const hubModels = [
  {
    id: 'smollm2-135m-onnx',
    name: 'SmolLM2 135M Instruct',
    about: 'Small enough for any device. Good for trying things out.',
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
    about: 'Many languages, in a small download.',
    licence: 'Apache 2.0',
    model: 'Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf',
    sizeBytes: 491_400_032,
    cacheBytes: kvCacheBytes(24, 2, 64),
  }),
  createGguf({
    id: 'llama-3.2-1b-gguf',
    name: 'Llama 3.2 1B Instruct',
    about: 'Fluent answers; wants a recent machine.',
    licence: 'Llama 3.2 Community License',
    model: 'bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf',
    sizeBytes: 807_694_464,
    cacheBytes: kvCacheBytes(16, 8, 64),
  }),
  createGguf({
    id: 'qwen2.5-1.5b-gguf',
    name: 'Qwen2.5 1.5B Instruct',
    about: 'Many languages, some code.',
    licence: 'Apache 2.0',
    model: 'Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf',
    sizeBytes: 1_117_320_736,
    cacheBytes: kvCacheBytes(28, 2, 128),
  }),
  createMlc({
    name: 'Llama 3.2 1B Instruct',
    about: 'Fluent answers on a graphics card.',
    licence: 'Llama 3.2 Community License',
    model: 'Llama-3.2-1B-Instruct-q4f16_1-MLC',
    memoryBytes: 879.04e6,
  }),
  createMlc({
    name: 'Qwen2.5 1.5B Instruct',
    about: 'Many languages, some code, on a graphics card.',
    licence: 'Apache 2.0',
    model: 'Qwen2.5-1.5B-Instruct-q4f16_1-MLC',
    memoryBytes: 1629.75e6,
  }),
  createMlc({
    name: 'Llama 3.2 3B Instruct',
    about: 'The most able here; wants a graphics card with room.',
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

/** Memory is web-llm's own figure, `vram_required_MB` in its list of models. */
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

/** All that the picker offers, those that this page serves first. Asks this page's own server for sizes, and no other. */
export async function readCatalogue(): Promise<readonly ModelEntry[]> {
  const onnxFolder = servedUrl('models/stories/')
  const ggufFile = servedUrl('models/stories.gguf')
  const smolLm2File = servedUrl(smolLm2.served)
  const [onnxBytes, ggufBytes, smolLm2Bytes] = await Promise.all(
    [new URL('onnx/model_quantized.onnx', onnxFolder), ggufFile, smolLm2File].map(measureServed),
  )
  const stories = {
    name: 'Stories',
    about: 'Comes with this page. Makes up stories for small children.',
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
      // Its 2.8 million weights are 32-bit floats while it runs, and so is its cache.
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
      about: 'Small enough for any device. Good for trying things out.',
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

/** Whether the choice is this entry. */
export function isChosen({ choice, runtime }: ModelEntry, current: ModelChoice): boolean {
  if (current.files || current.model !== choice.model) return false
  return current.backend === choice.backend || (current.backend === 'auto' && runtime === 'onnx')
}
