/** The weight variants that most folders have, best first. */
export const commonDtypes = ['q4f16', 'q4', 'fp16', 'q8', 'fp32'] as const

/** The weight variants of a Hugging Face ONNX folder, best first, with the names that transformers.js uses. */
export const onnxDtypes = [...commonDtypes, 'int8', 'uint8', 'bnb4', 'q2f16', 'q2', 'q1f16', 'q1'] as const
export type OnnxDtype = (typeof onnxDtypes)[number]

/** The variants that compute in 16-bit floats. On WebGPU, these variants need an adapter with the feature `shader-f16`. */
export const float16Dtypes: readonly OnnxDtype[] = ['q4f16', 'fp16', 'q2f16', 'q1f16']

export const onnxDevices = ['auto', 'webgpu', 'wasm'] as const
export type OnnxDevice = (typeof onnxDevices)[number]

/**
 * A build of ONNX Runtime: `wasm` for the CPU; for WebGPU, `jspi` in browsers with JavaScript Promise Integration, and `webgpu`
 * in the others.
 */
export type OnnxBuild = 'wasm' | 'webgpu' | 'jspi'

/** The file names of the builds' WebAssembly in the `dist` folder of onnxruntime-web. */
export const onnxWasmFiles = {
  wasm: 'ort-wasm-simd-threaded.wasm',
  webgpu: 'ort-wasm-simd-threaded.asyncify.wasm',
  jspi: 'ort-wasm-simd-threaded.jspi.wasm',
} as const satisfies Record<OnnxBuild, string>

/** The options of `onnx()` that are sent to the worker. */
export interface OnnxLoadOptions {
  /**
   * The device to compute on. `auto` uses WebGPU on a real graphics adapter and WASM otherwise, also if the folder has only
   * files in 16-bit floats and the adapter has no `shader-f16`. A software adapter is used only with `webgpu`.
   * @default 'auto'
   */
  readonly device?: OnnxDevice | undefined
  /**
   * The weight variant to load. Name it for a folder on a plain server, which cannot list its files: rivulet then requests no
   * file that does not exist.
   * @default the variant that `config.json` recommends (`transformers.js_config.dtype`), unless it has 16-bit floats and the
   *   device computes them slowly; otherwise the first variant in the folder, in the order `q4f16`, `q4`, `fp16`, `q8`, `fp32`; on an adapter without
   *   16-bit floats, in the order `q4`, `q8`, `fp32`; on WASM, in the order `q4`, `q8`, `fp32`, `q4f16`, `fp16`. The other
   *   variants come last
   */
  readonly dtype?: OnnxDtype | undefined
  /**
   * The path of the graph in the model's folder, such as `model.onnx`, for a file with another name than the variants have.
   * Its external data files must be in the same folder as the graph. Not together with `dtype`.
   * @default the file of the variant, such as `onnx/model_q4.onnx`
   */
  readonly modelFile?: string | undefined
  /**
   * The model's chat template: Jinja source, or the name of one of the templates in the model's files, such as `rag`.
   * @default the template in the model's files
   */
  readonly chatTemplate?: string | undefined
  /**
   * Memory for the KV caches of earlier conversations, in bytes, in addition to the cache of the current one. When a chat
   * is continued, only its new tokens are computed. The least recently used cache is freed first; with 0, no cache is kept.
   * For models with states of fixed size (LFM2, Qwen3.5), the checkpoints of these states also count towards this limit.
   * @default 256 MiB
   */
  readonly conversationCacheBytes?: number | undefined
  /**
   * Room in the model store for kept prefixes (`engine.prefill` with `keepPrefix`), in bytes: those of all models of this site
   * together. The least recently used ones are removed first, and never a model.
   * @default 512 MiB
   */
  readonly keptPrefixBytes?: number | undefined
  /**
   * The number of generations that can run at the same time, from 1 to 16. More of them wait in the engine's queue. One step
   * of the model computes a token of each, if the graph and the device allow it. Otherwise their steps take turns. Each
   * generation has a KV cache of its own, whose memory is allocated when it is first needed.
   * @default 1
   */
  readonly maxConcurrentGenerations?: number | undefined
  /**
   * Limit for the weights and the first KV cache together, in bytes. A larger model is refused with `memory-exceeded`
   * before its external weights are downloaded. A model that exceeds the limits of the adapter or of WebAssembly is
   * always refused.
   * @default 1.5 times `navigator.deviceMemory`, which is rounded, in browsers that report less than 8 GiB; otherwise no limit
   */
  readonly memoryBudgetBytes?: number | undefined
  /**
   * Maximum length of prompt and answer together, in tokens; at least 2. A smaller value limits the memory of the KV cache.
   * A value above the model's own length is refused with `invalid-option`.
   * @default the model's, such as `max_position_embeddings` in `config.json`; 2,048 if its files contain none
   */
  readonly contextLength?: number | undefined
  /**
   * The texts of further tokens that end an answer, such as `['<|im_end|>']`. They end it in addition to the tokens that
   * the model's files name and the token that the chat template writes after an answer. A text that is not a token of the
   * model is refused with `invalid-option`.
   * @default none
   */
  readonly endTokens?: readonly string[] | undefined
  /**
   * URLs of the WebAssembly of ONNX Runtime's builds, for bundlers that do not find these files. `jspi` is only used if it is
   * set, or `webgpu` is not.
   * @default the files next to onnxruntime-web's own modules
   */
  readonly wasmPaths?: { readonly [Build in OnnxBuild]?: string | undefined } | undefined
}
