import { createApp } from 'vue'
// Written by the test, from the guide.
import Chat from './chat.vue'
import { createStandIn } from './stand-in-engine.js'

export function show(place) {
  const app = createApp(Chat, { engine: createStandIn() })
  app.mount(place)
  return () => app.unmount()
}
