import { createApp } from 'vue'
// The test writes these files from the guide.
import Chat from './chat.vue'
import { createStandIn } from './stand-in-engine.js'

export function show(place) {
  const app = createApp(Chat, { engine: createStandIn() })
  app.mount(place)
  return () => app.unmount()
}
