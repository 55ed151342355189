import { copyFileSync } from 'node:fs'
import { build } from 'esbuild'

await build({
  entryPoints: { main: 'src/main.js', 'onnx.worker': 'rivulet/onnx.worker' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'esm',
  // So that the worker loads only one of ONNX Runtime's two builds.
  splitting: true,
})
// esbuild does not change `new URL(file, import.meta.url)`: the files must be beside the script.
for (const file of ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']) {
  copyFileSync(`node_modules/onnxruntime-web/dist/${file}`, `dist/${file}`)
}
