import { signal } from '@preact/signals'
import { render } from 'preact'
import type { Answer, ChatToolCall, ToolRound } from 'rivulet/chat'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ToolRounds } from './tool-rounds.js'

let host: HTMLElement
beforeEach(() => {
  host = document.body.appendChild(document.createElement('div'))
})
afterEach(() => {
  render(null, host)
  host.remove()
})

const rounds = signal<readonly ToolRound[]>([])
const streaming: Answer = { id: '1', role: 'assistant', text: '', state: { kind: 'streaming' } }
const call: ChatToolCall = { id: 'a', name: 'calculate', arguments: '', state: { kind: 'streaming' } }

async function show(shown: ChatToolCall, answer = streaming): Promise<string> {
  rounds.value = [{ text: '', calls: [shown] }]
  render(<ToolRounds answer={answer} written={{ rounds }} onDraw={() => {}} />, host)
  await new Promise((resolve) => setTimeout(resolve, 0))
  return host.querySelector('.tool-call')!.textContent
}

describe('the tool calls of an answer', () => {
  it('show the arguments as they stream, then the result', async () => {
    expect(await show({ ...call, arguments: '{"expr' })).toContain('{"exprThe model writes the call…')
    const whole = { ...call, arguments: '{"expression":"1+2"}' }
    expect(await show({ ...whole, state: { kind: 'running' } })).toContain('Running…')
    expect(await show({ ...whole, state: { kind: 'finished', result: '3' } })).toBe(
      ' Calculator{"expression":"1+2"}Result: 3',
    )
  })

  it('show why a call failed, and a name that is no tool of the page', async () => {
    const failed = {
      ...call,
      name: 'rm',
      state: { kind: 'failed', message: 'There is no tool "rm".' },
    } as const
    expect(await show(failed)).toBe(' rmFailed: There is no tool "rm".')
  })

  it('are text, never markup', async () => {
    const hostile = '<img src=x onerror=alert(1)>'
    const shown = await show({
      id: 'a',
      name: hostile,
      arguments: hostile,
      state: { kind: 'finished', result: hostile },
    })
    expect(shown.split(hostile)).toHaveLength(4)
    expect(host.querySelector('img')).toBeNull()
  })
})
