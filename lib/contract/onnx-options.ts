/** The weight variants of a Hugging Face ONNX folder, best first, with the names that transformers.js uses. */
export const onnxDtypes = ['q4f16', 'q4', 'fp16', 'q8', 'fp32'] as const
export type OnnxDtype = (typeof onnxDtypes)[number]

/** The variants that compute in 16-bit floats. On WebGPU, these variants need an adapter with the feature `shader-f16`. */
export const float16Dtypes: readonly OnnxDtype[] = ['q4f16', 'fp16']

export const onnxDevices = ['auto', 'webgpu', 'wasm'] as const
export type OnnxDevice = (typeof onnxDevices)[number]

/** The file name of ONNX Runtime's WebAssembly module for each device, in the `dist` folder of onnxruntime-web. */
export const onnxWasmFiles = {
  wasm: 'ort-wasm-simd-threaded.wasm',
  webgpu: 'ort-wasm-simd-threaded.asyncify.wasm',
} as const

/** The options of `onnx()` that are sent to the worker. */
export interface OnnxLoadOptions {
  /**
   * The device to compute on. `auto` uses WebGPU on a real graphics adapter and WASM otherwise. A software adapter is used
   * only with `webgpu`.
   * @default 'auto'
   */
  readonly device?: OnnxDevice | undefined
  /**
   * The weight variant to load.
   * @default the first variant in the folder, in the order `q4f16`, `q4`, `fp16`, `q8`, `fp32`; on an adapter without
   *   16-bit floats, in the order `q4`, `q8`, `fp32`; on WASM, in the order `q4`, `q8`, `fp32`, `q4f16`, `fp16`
   */
  readonly dtype?: OnnxDtype | undefined
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
   * Limit for the weights and the first KV cache together, in bytes. A larger model is refused with `memory-exceeded`
   * before its external weights are downloaded. A model that exceeds the limits of the adapter or of WebAssembly is
   * always refused.
   * @default no limit
   */
  readonly memoryBudgetBytes?: number | undefined
  /**
   * URLs of ONNX Runtime's WebAssembly for each device, for bundlers that do not find these files.
   * @default the files next to onnxruntime-web's own modules
   */
  readonly wasmPaths?:
    | { readonly wasm?: string | undefined; readonly webgpu?: string | undefined }
    | undefined
}
