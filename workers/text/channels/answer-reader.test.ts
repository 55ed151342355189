import { describe, expect, it } from 'vitest'
import type { RequestTool } from '../../../lib/contract/request.js'
import { gemma4, hermes } from './answer-fixtures.test-support.js'
import type { AnswerFamily } from './answer-family.js'
import { createAnswerReader, joinSteps } from './answer-reader.js'
import { createAnswerSplitter } from './create-answer-splitter.js'

const tools: readonly RequestTool[] = [{ name: 'clock', parameters: { type: 'object' } }]
const call = '<tool_call>\n{"name": "clock", "arguments": {"a": "END"}}\n</tool_call>'

function read(
  answer: string,
  stops: readonly string[],
  family: AnswerFamily = hermes,
  isControl: (text: string) => boolean = () => false,
) {
  const reader = createAnswerReader(
    createAnswerSplitter({ family, tools, startsInThought: false, isControl, createId: () => 'id' }),
    stops,
  )
  const steps = Array.from(answer, (character) => reader.push(character))
  const stopped = steps.findIndex(({ hasStopped }) => hasStopped)
  return [
    ...(stopped < 0 ? steps : steps.slice(0, stopped + 1)),
    ...(stopped < 0 ? [reader.flush()] : []),
  ].reduce(joinSteps)
}

describe('a stop string', () => {
  it('ends the text before it, after a thought that contains it', () => {
    expect(read('<think>\nThe END.\n</think>\n\nYes END no', ['END'])).toMatchObject({
      text: 'Yes ',
      reasoning: 'The END.',
      hasStopped: true,
    })
  })

  it('does not match inside the arguments of a call', () => {
    const { text, toolCalls, hasStopped } = read(`Hm\n${call}`, ['END'])
    expect({ text, hasStopped }).toEqual({ text: 'Hm', hasStopped: false })
    expect(toolCalls?.map(({ argumentsDelta }) => argumentsDelta).join('')).toBe('{"a": "END"}')
  })

  it('does not go across a call: what is held back for it comes before the call', () => {
    const { text, raw, hasStopped } = read(`EN${call}D`, ['END'])
    expect({ text, hasStopped }).toEqual({ text: 'END', hasStopped: false })
    expect(raw).toBe(`EN${call}D`)
  })

  it('can contain a control token that is not a mark', () => {
    const isControl = (text: string) => text === '<|turn>'
    const reader = createAnswerReader(
      createAnswerSplitter({ family: gemma4, tools, startsInThought: false, isControl }),
      ['<|turn>user'],
    )
    const steps = [reader.push('Hi'), reader.pushControl('<|turn>'), reader.push('user')]
    expect(steps.reduce(joinSteps)).toMatchObject({ text: 'Hi', hasStopped: true })
  })
})

it('the raw text is missing where it equals the text', () => {
  expect(read('Hello END', [])).toEqual({ text: 'Hello END', hasStopped: false })
})
