// Runs in Node, without a page. The engine is scripted: real token streams over a script instead of a worker.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createChat, type Answer, type ChatSnapshot } from './chat.js'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'

const Trip = z.object({ city: z.string(), days: z.coerce.number().max(14) })
const words = ['{"city": "Be', 'rn", "days"', ': "3"', '}']

function openChat(...scripts: readonly Script[]) {
  const rest = [...scripts]
  const engine = createScriptedEngine(() => rest.shift()!)
  return { engine, chat: createChat({ engine }) }
}

const lastValue = ({ messages }: ChatSnapshot) => (messages.at(-1) as Answer).value

describe('an answer in a form (scripted engine)', () => {
  it('has a value that grows, and is complete as the model wrote it', async () => {
    const { chat, engine } = openChat({ words })
    const seen: unknown[] = []
    chat.subscribe((snapshot) => {
      if (snapshot.messages.length > 0) seen.push(lastValue(snapshot))
    })
    const answer = await chat.send('Plan a trip.', { responseFormat: Trip })
    expect(seen).toContainEqual({ city: 'Be' })
    expect(answer).toMatchObject({
      text: words.join(''),
      value: { city: 'Bern', days: '3' },
      state: { kind: 'finished', finishReason: 'stop' },
    })
    expect(engine.requests[0]?.options.responseFormat).toMatchObject({ kind: 'json-schema' })
  })

  it('fails with value-invalid, and keeps its value, if a check of the schema fails', async () => {
    const { chat } = openChat({ words: ['{"city": "Bern", "days": 15}'] })
    const answer = await chat.send('Plan a trip.', { responseFormat: Trip })
    expect(answer).toMatchObject({
      value: { city: 'Bern', days: 15 },
      state: { kind: 'failed', error: { code: 'value-invalid' } },
    })
  })

  it('is continued with the form, and keeps what it has', async () => {
    const { chat } = openChat({ words: words.slice(0, 1), end: 'length' }, { words: words.slice(1) })
    const cut = await chat.send('Plan a trip.', { responseFormat: Trip })
    expect(cut).toMatchObject({ value: { city: 'Be' }, state: { finishReason: 'length' } })
    const whole = await chat.continue({ responseFormat: Trip })
    expect(whole).toMatchObject({ id: cut.id, value: { city: 'Bern', days: '3' } })
  })

  it('comes after the calls of tools, which are no value', async () => {
    const call: Script = {
      words: [{ toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '{}' }] }],
      end: 'tool-calls',
    }
    const scripts = [call, { words }]
    const engine = createScriptedEngine(() => scripts.shift()!)
    const chat = createChat({ engine, tools: [{ name: 'look', run: () => 'Bern' }] })
    const seen: unknown[] = []
    chat.subscribe(({ messages }) => {
      const last = messages.at(-1)
      if (last?.role === 'assistant' && last.text === '') seen.push(last.value)
    })
    const answer = await chat.send('Plan a trip.', { responseFormat: Trip })
    expect(answer).toMatchObject({ rounds: [{ calls: [{ name: 'look' }] }], value: { city: 'Bern' } })
    expect(new Set(seen)).toEqual(new Set([undefined]))
  })

  it('of a text form has the text as its value, and an answer without a form has none', async () => {
    const { chat } = openChat({ words: ['a', 'b'] }, { words: ['ab'] })
    expect(await chat.send('Say ab.', { responseFormat: { regex: /ab/ } })).toMatchObject({ value: 'ab' })
    expect(await chat.send('Say ab.')).not.toHaveProperty('value')
  })

  it('survives JSON', async () => {
    const { chat } = openChat({ words })
    const { value } = await chat.send('Plan a trip.', { responseFormat: Trip })
    const stored: unknown = JSON.parse(JSON.stringify(chat.getSnapshot().messages))
    const opened = createChat({ engine: createScriptedEngine(() => ({ words })), messages: stored as [] })
    expect(lastValue(opened.getSnapshot())).toEqual(value)
  })
})
