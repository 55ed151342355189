import type { RuntimeFile } from '../store/runtime-file.js'

/** The version of onnxruntime-web that the sizes and hashes below belong to. */
const pinnedVersion = '1.30.0'

const pinnedFiles = {
  wasm: {
    path: 'ort-wasm-simd-threaded.wasm',
    sizeBytes: 14_239_897,
    sha256: '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
  },
  webgpu: {
    path: 'ort-wasm-simd-threaded.asyncify.wasm',
    sizeBytes: 26_781_914,
    sha256: '39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da',
  },
} as const satisfies Record<string, RuntimeFile>

/**
 * Describes the WebAssembly file of ONNX Runtime for a device. Only the file of the pinned version has a known hash: an app
 * can force another version of onnxruntime-web, whose file is then used unchecked, and is not stored.
 */
export function describeRuntimeFile(device: 'webgpu' | 'wasm', version?: string): RuntimeFile {
  const { path, ...pins } = pinnedFiles[device]
  return { path, ...(version === pinnedVersion && pins) }
}
