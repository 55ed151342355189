import { signal } from '@preact/signals'
import { render } from 'preact'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { RunMeter } from '../figures/meter-runs.js'
import { ReadingNote } from './reading-note.js'

let host: HTMLElement
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  host = document.body.appendChild(document.createElement('div'))
})
afterEach(() => {
  render(null, host)
  host.remove()
  vi.useRealTimers()
})

type Progress = RunMeter['prefill']['value']

function show({ isServer = false } = {}) {
  const prefill = signal<Progress>(undefined)
  const written = { text: signal(''), reasoning: signal(''), rounds: signal([]), value: signal(undefined) }
  render(<ReadingNote {...{ prefill, written, isServer }} />, host)
  return { prefill, written }
}

const waitAndRead = async (ms: number) => {
  await nextFrame()
  vi.advanceTimersByTime(ms)
  await nextFrame()
  return host.textContent
}
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))

it('a runtime that reports no progress has a note without a percentage, after a second', async () => {
  const { written } = show()
  expect(await waitAndRead(900)).toBe('')
  expect(await waitAndRead(200)).toBe('Reading your message…')
  written.text.value = 'Once'
  expect(await waitAndRead(0)).toBe('')
})

it('a runtime that reports its progress has one with a percentage at once', async () => {
  const { prefill } = show()
  prefill.value = { computedTokens: 400, totalTokens: 1000 }
  expect(await waitAndRead(0)).toBe('Reading your message… 40 %')
})

it('a server is waited for', async () => {
  show({ isServer: true })
  expect(await waitAndRead(1100)).toBe('Waiting for the server…')
})
