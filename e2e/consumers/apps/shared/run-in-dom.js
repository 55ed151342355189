// Mounts a built component in a document without a browser, asks a question, and prints each text that it showed.
import { Window } from 'happy-dom'

const window = new Window()
for (const name of Object.getOwnPropertyNames(window)) {
  if (!(name in globalThis))
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true })
}
const { show } = await import('../dist/main.js')
const { document } = window
const hide = show(document.body)
const texts = []
document.querySelector('button').click()
for (let waited = 0; waited < 400 && texts.at(-1) !== 'Once upon a time'; waited += 1) {
  await new Promise((resolve) => setTimeout(resolve, 5))
  const text = document.querySelectorAll('p')[1]?.textContent
  if (text && text !== texts.at(-1)) texts.push(text)
}
hide()
console.log(JSON.stringify({ texts, left: document.querySelectorAll('p').length }))
process.exit()
