// What transformers.js gets where it imports onnxruntime-web (see `peer.ts`): the very build that rivulet runs on.
// Its own choice, the WebGPU build for either device, cannot load every model on the CPU.
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import { readRole } from './probe-channel.js'

const isWebGpu = readRole(self.name).device === 'webgpu'

export const { InferenceSession, Tensor, env } = isWebGpu
  ? await import('onnxruntime-web/webgpu')
  : await import('onnxruntime-web/wasm')

// Left open, transformers.js would load them from a CDN.
env.wasm.wasmPaths = { wasm: isWebGpu ? asyncifyWasm : plainWasm }
