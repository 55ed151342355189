import { mount, unmount } from 'svelte'
// The test writes this component from the guide.
import Chat from './chat.svelte'
import { createStandIn } from './stand-in-engine.js'

export function show(target) {
  const chat = mount(Chat, { target, props: { engine: createStandIn() } })
  return () => unmount(chat)
}
