import ortWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import ortGpuWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'
import type { ModelInfo } from 'rivulet'
import wllamaWasm from '@wllama/wllama/esm/wasm/wllama.wasm?url'

/**
 * Keeps the page for visits without a network. On hosts that do not isolate their pages, it is loaded once more, and
 * then may use WASM threads.
 * @param mayReload whether nothing of the visitor's would be lost
 */
export async function installServiceWorker(mayReload: () => boolean): Promise<void> {
  // The development server makes every file anew.
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  const wasTouched = watchTouch()
  const address = new URL('./service-worker.js', document.baseURI)
  address.searchParams.set('embedder-policy', chooseEmbedderPolicy())
  try {
    await navigator.serviceWorker.register(address)
  } catch {
    // Private windows of some browsers, and pages that are not secure: everything works, online and on one thread.
    return
  }
  if (crossOriginIsolated) return
  await waitForControl()
  if (!wasTouched() && mayReload() && claimReload()) location.reload()
}

/** Who has clicked or typed is in the middle of something. */
function watchTouch(): () => boolean {
  let isTouched = false
  for (const type of ['pointerdown', 'keydown', 'input']) {
    addEventListener(type, () => (isTouched = true), { once: true, capture: true })
  }
  return () => isTouched
}

/** Safari does not know `credentialless`, and no browser says whether it does. */
function chooseEmbedderPolicy(): 'credentialless' | 'require-corp' {
  return navigator.vendor.startsWith('Apple') ? 'require-corp' : 'credentialless'
}

function waitForControl(): Promise<void> {
  const { serviceWorker } = navigator
  return new Promise((resolve) => {
    if (serviceWorker.controller) resolve()
    else serviceWorker.addEventListener('controllerchange', () => resolve(), { once: true })
  })
}

/** Once in each tab: a page that stays as it is, in a frame of another page say, is not loaded for ever. */
function claimReload(): boolean {
  const key = `rivulet-demo-reloaded ${new URL('./', document.baseURI).pathname}`
  try {
    if (sessionStorage.getItem(key) !== null) return false
    sessionStorage.setItem(key, '1')
    return true
  } catch {
    // Without a memory it could go on for ever.
    return false
  }
}

const runtimes: Readonly<Record<string, string>> = {
  'onnx wasm': ortWasm,
  'onnx webgpu': ortGpuWasm,
  'llama-cpp wasm': wllamaWasm,
  'llama-cpp webgpu': wllamaWasm,
}

/** Has the service worker keep what this model runs on: it may have been fetched before the service worker was there. */
export async function keepRuntime({ backend, device }: Pick<ModelInfo, 'backend' | 'device'>): Promise<void> {
  const path = runtimes[`${backend} ${device}`]
  if (path === undefined || !import.meta.env.PROD || !('serviceWorker' in navigator)) return
  const { active } = await navigator.serviceWorker.ready
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a service worker's takes none
  active?.postMessage({ keepRuntime: new URL(path, import.meta.url).href })
}
