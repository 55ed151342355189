import { signal } from '@preact/signals'
import { render } from 'preact'
import type { Answer } from 'rivulet/chat'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Reasoning } from './reasoning.js'

let host: HTMLElement
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  host = document.body.appendChild(document.createElement('div'))
})
afterEach(() => {
  render(null, host)
  host.remove()
  vi.useRealTimers()
})

const written = { text: signal(''), reasoning: signal('') }
const streaming: Answer = { id: '1', role: 'assistant', text: '', state: { kind: 'streaming' } }

async function show(answer: Answer, text = '', reasoning = ''): Promise<void> {
  written.text.value = text
  written.reasoning.value = reasoning
  render(<Reasoning answer={answer} written={written} onDraw={() => {}} />, host)
  await nextRender()
}

const nextRender = () => new Promise((resolve) => setTimeout(resolve, 0))
const find = (selector: string) => host.querySelector<HTMLElement>(selector)
const summary = () => find('summary')?.textContent

describe('the reasoning of an answer', () => {
  it('is not shown if there is none', async () => {
    await show(streaming, 'Yes')
    expect(host.textContent).toBe('')
  })

  it('is folded, with the time it has taken so far, then with the time it took', async () => {
    await show(streaming, '', 'Hm')
    expect(summary()).toBe('Thinking for 0 s')
    expect(find('details')).toHaveProperty('open', false)
    vi.advanceTimersByTime(2100)
    await nextRender()
    expect(summary()).toBe('Thinking for 2 s')
    vi.advanceTimersByTime(1000)
    await show(streaming, 'Yes', 'Hm')
    expect(summary()).toBe('Thought for 3 s')
    vi.advanceTimersByTime(5000)
    await show({ ...streaming, text: 'Yes.', reasoning: 'Hm', state: finished }, '', '')
    expect(summary()).toBe('Thought for 3 s')
    expect(find('p')?.textContent).toBe('Hm')
  })

  it('of a saved answer has no time', async () => {
    await show({ ...streaming, text: 'Yes', reasoning: 'Hm', state: finished })
    expect(summary()).toBe('Reasoning')
  })

  it('stays open while it grows, and is never markup', async () => {
    await show(streaming, '', '<img src=x onerror=alert(1)>')
    find('summary')!.click()
    await show(streaming, '', '<img src=x onerror=alert(1)> **more**')
    expect(find('details')).toHaveProperty('open', true)
    expect(find('p')?.textContent).toBe('<img src=x onerror=alert(1)> **more**')
    expect(find('img')).toBeNull()
  })
})

const finished = { kind: 'finished', finishReason: 'stop' } as Answer['state']
