import { expect, it } from 'vitest'
import { isolate } from './isolate.js'

it('adds the two headers and keeps the rest of the response', async () => {
  const answer = new Response('body', { status: 201, headers: { 'content-type': 'application/wasm' } })
  const isolated = isolate(answer, 'credentialless')
  expect(isolated.status).toBe(201)
  expect(Object.fromEntries(isolated.headers)).toEqual({
    'content-type': 'application/wasm',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'credentialless',
  })
  expect(await isolated.text()).toBe('body')
})

it('returns the same response if the host sent the headers', () => {
  const answer = new Response('', { headers: { 'cross-origin-embedder-policy': 'require-corp' } })
  expect(isolate(answer, 'credentialless')).toBe(answer)
})
