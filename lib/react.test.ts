import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { expect, it } from 'vitest'
import type { Engine } from './engine.js'
import { useRivuletChat, useRivuletEngine } from './react.js'

it('on a server the hooks render a loading chat, and load no engine', () => {
  let loads = 0
  function View() {
    const { engine } = useRivuletEngine(() => {
      loads += 1
      return Promise.reject<Engine>(new Error('not to be loaded'))
    }, [])
    const { status, messages } = useRivuletChat({
      engine,
      messages: [{ id: '1', role: 'user', text: 'Hello' }],
    })
    return createElement('output', {}, `${status.kind}: ${messages[0]?.text}`)
  }
  expect(renderToString(createElement(View))).toBe('<output>loading: Hello</output>')
  expect(loads).toBe(0)
})
