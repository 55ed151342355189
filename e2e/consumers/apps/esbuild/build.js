import { copyFileSync } from 'node:fs'
import { build } from 'esbuild'

await build({
  entryPoints: { main: 'src/main.js', 'onnx.worker': 'rivulet/onnx.worker' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'esm',
  // So that the worker loads one of ONNX Runtime's two builds.
  splitting: true,
})
// esbuild leaves `new URL(file, import.meta.url)` as it is: the files have to lie beside the script.
for (const file of ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']) {
  copyFileSync(`node_modules/onnxruntime-web/dist/${file}`, `dist/${file}`)
}
