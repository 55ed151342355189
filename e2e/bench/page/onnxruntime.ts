// Replaces onnxruntime-web in transformers.js (see `peer.ts`) with the build that rivulet uses. The default of
// transformers.js, the WebGPU build for both devices, cannot load every model on the CPU.
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import { readRole } from './probe-channel.js'

const isWebGpu = readRole(self.name).device === 'webgpu'

export const { InferenceSession, Tensor, env } = isWebGpu
  ? await import('onnxruntime-web/webgpu')
  : await import('onnxruntime-web/wasm')

// By default, transformers.js loads them from a CDN.
env.wasm.wasmPaths = { wasm: isWebGpu ? asyncifyWasm : plainWasm }
