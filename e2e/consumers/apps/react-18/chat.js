// The hooks on React 18, in Node: loads an engine, asks a question, unmounts, and prints what was rendered.
import { createElement, StrictMode, version } from 'react'
import { act, create } from 'react-test-renderer'
import { useRivuletChat, useRivuletEngine } from 'rivulet/react'
import { createStandIn } from './src/stand-in-engine.js'

globalThis.IS_REACT_ACT_ENVIRONMENT = true
const seen = { version, loads: 0, disposals: 0, texts: [] }

async function loadStandIn() {
  seen.loads += 1
  return createStandIn({ onDispose: () => (seen.disposals += 1) })
}

let chat
function Chat() {
  const { engine } = useRivuletEngine(loadStandIn, [])
  chat = useRivuletChat({ engine })
  const text = chat.messages.at(-1)?.text
  if (text !== undefined && text !== seen.texts.at(-1)) seen.texts.push(text)
  return createElement('p', null, text)
}

let root
await act(async () => {
  root = create(createElement(StrictMode, null, createElement(Chat)))
})
// Renders while the answer is written, not only after `act`.
globalThis.IS_REACT_ACT_ENVIRONMENT = false
await chat.send('Tell me a story.')
await new Promise((resolve) => setTimeout(resolve, 20))
seen.rendered = root.toJSON().children
root.unmount()
await new Promise((resolve) => setTimeout(resolve, 20))
console.log(JSON.stringify(seen))
