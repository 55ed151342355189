// Replaces onnxruntime-web in transformers.js (see `peer.ts`) with the build that rivulet uses. The default of
// transformers.js, the WebGPU build for both devices, cannot load every model on the CPU.
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url'
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import { readRole } from './probe-channel.js'

const isWebGpu = readRole(self.name).device === 'webgpu'

export const { InferenceSession, Tensor, env } = isWebGpu
  ? await import('onnxruntime-web/jspi')
  : await import('onnxruntime-web/wasm')

// By default, transformers.js loads them from a CDN.
env.wasm.wasmPaths = { wasm: isWebGpu ? jspiWasm : plainWasm }
