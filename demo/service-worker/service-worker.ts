// Runs beside the page: keeps what the build made for when there is no network, and isolates the page where its host
// cannot. Models are the library's store's; servers and the hub are never answered for.
import { isolate, type EmbedderPolicy } from './isolate.js'
import { createPageCache, type BuiltFiles } from './page-cache.js'

declare const self: ServiceWorkerGlobalScope
/** Put in by the build. */
declare const builtFiles: BuiltFiles

const scope = new URL('./', self.location.href).href
const pages = createPageCache(builtFiles, scope)
const policy: EmbedderPolicy =
  new URL(self.location.href).searchParams.get('embedder-policy') === 'require-corp'
    ? 'require-corp'
    : 'credentialless'

self.addEventListener('install', (event) => event.waitUntil(pages.install()))

self.addEventListener('activate', (event) => {
  event.waitUntil(Promise.all([pages.removeOld(), self.clients.claim()]))
})

/** What a policy is for: a page's own files need none. */
const isolated: ReadonlySet<RequestDestination> = new Set(['document', 'iframe', 'worker', 'sharedworker'])

self.addEventListener('fetch', (event) => {
  const { request } = event
  const kept = pages.answer({ request, waitUntil: (work) => event.waitUntil(work) })
  // Also what a newer build than this has made: an isolated page may start no worker without the policy.
  const isIsolated = isolated.has(request.destination) && request.url.startsWith(scope)
  if (isIsolated) {
    event.respondWith((kept ?? fetch(request)).then((response) => isolate(response, policy)))
  } else if (kept) event.respondWith(kept)
})

self.addEventListener('message', (event) => {
  const { keepRuntime } = event.data as { readonly keepRuntime?: string }
  if (keepRuntime !== undefined) event.waitUntil(pages.keepRuntime(keepRuntime))
})
