import { onnxWasmFiles, type OnnxBuild } from '../../lib/contract/onnx-options.js'
import type { RuntimeFile } from '../store/runtime-file.js'

/** The version of onnxruntime-web that the sizes and hashes below belong to. */
const pinnedVersion = '1.30.0'

const pinnedFiles = {
  wasm: {
    path: onnxWasmFiles.wasm,
    sizeBytes: 14_239_897,
    sha256: '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
  },
  webgpu: {
    path: onnxWasmFiles.webgpu,
    sizeBytes: 26_781_914,
    sha256: '39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da',
  },
  jspi: {
    path: onnxWasmFiles.jspi,
    sizeBytes: 16_758_545,
    sha256: 'a54c76f86b0f0d9572380cf1c6292a7b3903716ffcbcd6b0e5c7050bf430eb93',
  },
} as const satisfies Record<OnnxBuild, RuntimeFile>

/**
 * Describes the WebAssembly file of a build of ONNX Runtime. Only the file of the pinned version has a known hash: an app
 * can force another version of onnxruntime-web, whose file is then used unchecked, and is not stored.
 */
export function describeRuntimeFile(build: OnnxBuild, version?: string): RuntimeFile {
  const { path, ...pins } = pinnedFiles[build]
  return { path, ...(version === pinnedVersion && pins) }
}
