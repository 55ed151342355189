import type { LlamaCppCompat } from './llama-cpp.js'

/**
 * llama.cpp's compatibility build for `llamaCpp({ compat })`, from the optional peer dependency `@wllama/wllama-compat`:
 * install it in the version of `@wllama/wllama`. Only an app that imports this entry needs the package. The bundler must
 * process `new URL(…, import.meta.url)`, as Vite and webpack do; for other bundlers, pass the URLs of the two files.
 */
export const llamaCppCompat: LlamaCppCompat = {
  script: new URL('@wllama/wllama-compat/wasm/wllama.js', import.meta.url),
  wasm: new URL('@wllama/wllama-compat/wasm/wllama.wasm', import.meta.url),
}
