// The bare page's service worker, as an app would write it.
import { openaiRoute } from 'rivulet/openai-route'

openaiRoute()

// This folder is compiled with a page's types.
const worker = self as unknown as { readonly clients: { claim(): Promise<void> } }
self.addEventListener('activate', (event) => {
  ;(event as Event & { waitUntil(work: Promise<void>): void }).waitUntil(worker.clients.claim())
})
