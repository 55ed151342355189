import { copyFileSync } from 'node:fs'
import { build } from 'esbuild'

await build({
  entryPoints: { main: 'src/main.js', 'onnx.worker': 'rivulet/onnx.worker' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'esm',
  // So that the worker loads only one of ONNX Runtime's three builds.
  splitting: true,
})
// esbuild does not change `new URL(file, import.meta.url)`: the files must be beside the script.
for (const build of ['', '.asyncify', '.jspi']) {
  const file = `ort-wasm-simd-threaded${build}.wasm`
  copyFileSync(`node_modules/onnxruntime-web/dist/${file}`, `dist/${file}`)
}
