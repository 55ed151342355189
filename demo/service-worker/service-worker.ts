// Runs in the service worker. Caches the built files for offline use, and adds the isolation headers if the host does not
// send them. It does not handle models and runtimes (the library's model store does) or requests to servers and the hub.
import { isolate, type EmbedderPolicy } from './isolate.js'
import { createPageCache, type BuiltFiles } from './page-cache.js'

declare const self: ServiceWorkerGlobalScope
/** Inserted by the build. */
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

/** Only documents and workers need an embedder policy; other files do not. */
const isolated: ReadonlySet<RequestDestination> = new Set(['document', 'iframe', 'worker', 'sharedworker'])

self.addEventListener('fetch', (event) => {
  const { request } = event
  const response = pages.respond({ request, waitUntil: (work) => event.waitUntil(work) })
  // Includes files of a newer build: an isolated page cannot start a worker that has no embedder policy.
  const needsPolicy = isolated.has(request.destination) && request.url.startsWith(scope)
  if (needsPolicy) {
    event.respondWith((response ?? fetch(request)).then((found) => isolate(found, policy)))
  } else if (response) event.respondWith(response)
})
