/**
 * Caches the page for offline use. If the host does not send the isolation headers, reloads the page once: the service
 * worker adds them, and the page can use WASM threads.
 * @param mayReload whether a reload would lose nothing
 */
export async function installServiceWorker(mayReload: () => boolean): Promise<void> {
  // The development server builds every file on request.
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  const hadInput = watchInput()
  const address = new URL('./service-worker.js', document.baseURI)
  address.searchParams.set('embedder-policy', chooseEmbedderPolicy())
  try {
    await navigator.serviceWorker.register(address)
  } catch {
    // Private windows of some browsers and insecure pages: the page works, but only online and on one thread.
    return
  }
  if (crossOriginIsolated) return
  await waitForControl()
  if (!hadInput() && mayReload() && claimReload()) location.reload()
}

/** A user who has clicked or typed must not be interrupted by a reload. */
function watchInput(): () => boolean {
  let hasInput = false
  for (const type of ['pointerdown', 'keydown', 'input']) {
    addEventListener(type, () => (hasInput = true), { once: true, capture: true })
  }
  return () => hasInput
}

/** Safari does not support `credentialless`, and there is no way to detect support. */
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

/** Allows one reload per tab: a page that cannot be isolated (for example in another page's frame) would reload forever. */
function claimReload(): boolean {
  const key = `rivulet-demo-reloaded ${new URL('./', document.baseURI).pathname}`
  try {
    if (sessionStorage.getItem(key) !== null) return false
    sessionStorage.setItem(key, '1')
    return true
  } catch {
    // Without session storage the page could reload forever.
    return false
  }
}
