/** The weight variants of a Hugging Face ONNX folder, under the names that transformers.js gives them. */
export const onnxDtypes = ['q4f16', 'q4', 'fp16', 'q8', 'fp32'] as const
export type OnnxDtype = (typeof onnxDtypes)[number]

export const onnxDevices = ['auto', 'webgpu', 'wasm'] as const
export type OnnxDevice = (typeof onnxDevices)[number]

/** ONNX Runtime's WebAssembly for each device, as onnxruntime-web names the files in its `dist`. */
export const onnxWasmFiles = {
  wasm: 'ort-wasm-simd-threaded.wasm',
  webgpu: 'ort-wasm-simd-threaded.asyncify.wasm',
} as const

/** What the worker is told of `onnx()`'s options. */
export interface OnnxLoadOptions {
  /**
   * `auto` takes WebGPU on a real graphics adapter and WASM elsewhere; a software adapter is used only when forced.
   * @default 'auto'
   */
  readonly device?: OnnxDevice | undefined
  /**
   * Which weight file to load.
   * @default the first that the folder has of `q4f16`, `q4`, `fp16`, `q8`, `fp32`; without 16-bit floats `q4`, `q8`, `fp32`
   */
  readonly dtype?: OnnxDtype | undefined
  /**
   * Memory for the KV caches of earlier conversations, in bytes, beside the one that is running: a chat that is taken up
   * again computes only what is new. The one not used for longest goes first; 0 keeps none.
   * @default 256 MiB
   */
  readonly conversationCacheBytes?: number | undefined
  /**
   * What weights and the first KV cache may take, in bytes. A larger model is refused with `memory-exceeded`, before its
   * external weights are downloaded. What the adapter or WebAssembly cannot hold is refused in any case.
   * @default no limit
   */
  readonly memoryBudgetBytes?: number | undefined
  /**
   * Where ONNX Runtime's WebAssembly for each device is, for pages whose bundler does not find it.
   * @default beside onnxruntime-web's own modules
   */
  readonly wasmPaths?:
    | { readonly wasm?: string | undefined; readonly webgpu?: string | undefined }
    | undefined
}
