import { nodeResolve } from '@rollup/plugin-node-resolve'
import { importMetaAssets } from '@web/rollup-plugin-import-meta-assets'

export default {
  input: { main: 'src/main.js', 'onnx.worker': 'rivulet/onnx.worker' },
  // The second plugin copies ONNX Runtime's WebAssembly.
  plugins: [nodeResolve({ browser: true }), importMetaAssets({ include: '**/onnxruntime-web/**' })],
  output: { dir: 'dist' },
}
