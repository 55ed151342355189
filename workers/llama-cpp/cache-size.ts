/** The size of a model's KV cache, with 16-bit values. */
export interface CacheSize {
  /** The bytes of one token in the layers that keep every token. */
  readonly bytesPerToken: number
  /** The bytes of one token in the layers that keep only a sliding window. */
  readonly windowBytesPerToken: number
  /** The length of the window, in tokens. */
  readonly windowTokens: number
}

/** A value of a GGUF file's metadata, under a key without the architecture's name. An array has one value per layer. */
export type ReadHeaderNumber = (name: string) => number | readonly number[] | undefined

/**
 * Every how many layers llama.cpp has one without a window, for architectures whose files need not contain
 * `attention.sliding_window_pattern` (`set_swa_pattern` in `src/models/*.cpp`). Layers of others count as full: more than
 * they take.
 */
const windowPeriods: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3: 6,
  gemma3n: 5,
  'gpt-oss': 2,
  cohere2: 4,
  exaone4: 4,
  olmo2: 4,
  afmoe: 4,
}

/** The window's cache also holds the tokens of one prefill chunk, and is rounded up (`llama-kv-cache-iswa.cpp`). */
const chunkTokens = 256
const cellStep = 256

/** Measures the KV cache. Its sizes are 0 if the file does not contain the dimensions. */
export function measureCache(architecture: string, read: ReadHeaderNumber): CacheSize {
  const readOne = (name: string) => readLayer(read(name), 0)
  const layers = readOne('block_count') ?? 0
  const headCounts = read('attention.head_count')
  const cacheHeads = read('attention.head_count_kv') ?? headCounts
  const headSize = (readOne('embedding_length') ?? 0) / (readOne('attention.head_count') || Infinity)
  const keySize = readOne('attention.key_length') ?? headSize
  const valueSize = readOne('attention.value_length') ?? headSize
  const windowKeySize = readOne('attention.key_length_swa') ?? keySize
  const windowValueSize = readOne('attention.value_length_swa') ?? valueSize
  const windowTokens = readOne('attention.sliding_window') ?? 0
  const hasWindow = createWindowTest(architecture, read('attention.sliding_window_pattern'), windowTokens)
  // The last layers of some models (Gemma 3n) read the caches of earlier ones.
  const ownLayers = Math.max(0, layers - (readOne('attention.shared_kv_layers') ?? 0))
  let bytesPerToken = 0
  let windowBytesPerToken = 0
  for (let layer = 0; layer < Math.min(ownLayers, maxLayers); layer += 1) {
    const heads = readLayer(cacheHeads, layer) ?? 0
    if (hasWindow(layer)) windowBytesPerToken += heads * (windowKeySize + windowValueSize) * 2
    else bytesPerToken += heads * (keySize + valueSize) * 2
  }
  return { bytesPerToken, windowBytesPerToken, windowTokens }
}

/** No published model has this many layers. A damaged file could claim billions. */
const maxLayers = 4096

/** Returns the bytes that a number of tokens takes in the KV cache. */
export function countCacheBytes(size: CacheSize, tokens: number): number {
  const windowCells = Math.ceil((size.windowTokens + chunkTokens) / cellStep) * cellStep
  return tokens * size.bytesPerToken + Math.min(tokens, windowCells) * size.windowBytesPerToken
}

function createWindowTest(
  architecture: string,
  pattern: number | readonly number[] | undefined,
  windowTokens: number,
): (layer: number) => boolean {
  if (windowTokens === 0) return () => false
  if (typeof pattern === 'object') return (layer) => (pattern[layer] ?? 0) !== 0
  const period = pattern ?? (Object.hasOwn(windowPeriods, architecture) ? windowPeriods[architecture] : 1)
  if (period === undefined || period < 1) return () => false
  return (layer) => layer % period < period - 1
}

function readLayer(value: number | readonly number[] | undefined, layer: number): number | undefined {
  return typeof value === 'object' ? value[layer] : value
}
