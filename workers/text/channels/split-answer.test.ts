import { describe, expect, it } from 'vitest'
import type { RequestTool } from '../../../lib/contract/request.js'
import { answerFixtures, hermes, llama, lfm2, type Piece } from './answer-fixtures.test-support.js'
import type { AnswerFamily } from './answer-family.js'
import { createAnswerSplitter } from './create-answer-splitter.js'
import type { AnswerPart } from './split-answer.js'

const tools: readonly RequestTool[] = [
  {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { $ref: '#/$defs/count' } },
      $defs: { count: { type: 'integer' } },
    },
  },
  { name: 'clock', parameters: { type: 'object' } },
  {
    name: 'echo',
    parameters: {
      type: 'object',
      properties: { text: { type: 'string' }, list: { type: 'array' }, any: {} },
    },
  },
]

const isControl = (pieces: readonly Piece[]) => {
  const controls = new Set(pieces.flatMap((piece) => (typeof piece === 'string' ? [] : [piece.control])))
  return (text: string) => controls.has(text)
}

interface SplitOptions {
  readonly family: AnswerFamily
  readonly startsInThought?: boolean
  readonly controls?: readonly Piece[]
}

/** Splits an answer in these pieces. @returns the parts of each step, the last one from `flush` */
function splitSteps(
  pieces: readonly Piece[],
  { family, startsInThought = false, controls = pieces }: SplitOptions,
) {
  const splitter = createAnswerSplitter({
    family,
    tools,
    startsInThought,
    isControl: isControl(controls),
    createId: () => 'id',
  })
  const steps = pieces.map((piece) =>
    typeof piece === 'string' ? splitter.push(piece) : splitter.pushControl(piece.control),
  )
  return [...steps, splitter.flush()]
}

/** Joins the parts of an answer by channel. */
function join(parts: readonly AnswerPart[]) {
  const joined = { text: '', reasoning: '', raw: '', calls: [] as { name: string; arguments: string }[] }
  for (const part of parts) {
    if (part.kind === 'call') {
      const { index, name, argumentsDelta } = part.delta
      if (name !== undefined) joined.calls[index] = { name, arguments: '' }
      joined.calls[index]!.arguments += argumentsDelta
    } else if (part.kind !== 'control') {
      joined.raw += part.text
      if (part.kind !== 'mark') joined[part.kind] += part.text
    }
  }
  return joined
}

const split = (pieces: readonly Piece[], options: SplitOptions) => join(splitSteps(pieces, options).flat())

const joinRaw = (pieces: readonly Piece[]) =>
  pieces.map((piece) => (typeof piece === 'string' ? piece : piece.control)).join('')

/** Splits each text into pieces of `size` code units, starting with one of `first`. */
function cut(pieces: readonly Piece[], size: number, first = size): readonly Piece[] {
  return pieces.flatMap((piece): readonly Piece[] => {
    if (typeof piece !== 'string') return [piece]
    const rest = Array.from({ length: Math.ceil(piece.length / size) }, (_, index) =>
      piece.slice(first + index * size, first + (index + 1) * size),
    )
    return [piece.slice(0, first), ...rest].filter((text) => text !== '')
  })
}

describe.each(answerFixtures)('the channels of $name', ({ answer, text, reasoning, calls, ...options }) => {
  const whole = split(answer, options)

  it('are apart: text, reasoning and tool calls', () => {
    expect(whole).toMatchObject({ text, reasoning, calls })
  })

  it('are the same wherever the answer is split', () => {
    for (const size of [1, 2, 3, 5, 7, 11]) {
      for (let first = 1; first <= size; first += 1) {
        expect(
          split(cut(answer, size, first), { ...options, controls: answer }),
          `${size}, ${first}`,
        ).toEqual(whole)
      }
    }
    const length = Math.max(...answer.map((piece) => (typeof piece === 'string' ? piece.length : 0)))
    for (let first = 1; first < length; first += 1) {
      expect(split(cut(answer, length, first), { ...options, controls: answer }), `at ${first}`).toEqual(
        whole,
      )
    }
  })

  it('are joined the raw text', () => {
    expect(whole.raw).toBe(joinRaw(answer))
  })

  it('lose nothing when the answer ends at any place', () => {
    const pieces = cut(answer, 1)
    for (let end = 0; end <= pieces.length; end += 1) {
      const part = pieces.slice(0, end)
      const joined = split(part, { ...options, controls: answer })
      expect(joined.raw, `at ${end}`).toBe(joinRaw(part))
    }
  })
})

describe('held-back text', () => {
  it('is bounded, whatever the answer contains', () => {
    const answers = [
      '<tool_call>' + ' '.repeat(5000),
      '\n'.repeat(5000),
      '<tool_call>{"x'.repeat(400),
      '<'.repeat(5000),
    ]
    for (const answer of answers) {
      let written = 0
      let given = 0
      for (const [index, parts] of splitSteps(cut([answer], 1), { family: hermes }).entries()) {
        given += index < answer.length ? 1 : 0
        written += join(parts).raw.length
        expect(given - written, `${answer.slice(0, 20)} at ${index}`).toBeLessThanOrEqual(600)
      }
    }
  })

  it('does not delay text that no mark can follow', () => {
    const steps = splitSteps(cut(['Hello there'], 1), { family: hermes })
    expect(steps.map((parts) => join(parts).text)).toEqual([...'Hello', '', ' t', ...'here', ''])
  })
})

describe('a tool call', () => {
  it('streams its name first and then its arguments as they arrive', () => {
    const answer = '<tool_call>{"name": "clock", "arguments": {"a": "xyz"}}</tool_call>'
    const deltas = splitSteps(cut([answer], 1), { family: hermes })
      .flat()
      .flatMap((part) => (part.kind === 'call' ? [part.delta] : []))
    expect(deltas[0]).toEqual({ index: 0, id: 'id', name: 'clock', argumentsDelta: '' })
    expect(deltas.slice(1).map(({ argumentsDelta }) => argumentsDelta)).toEqual([...'{"a": "xyz"}'])
    expect(deltas.slice(1).every(({ id, name }) => id === undefined && name === undefined)).toBe(true)
  })

  it('streams the text of a Python argument as it arrives', () => {
    const controls: Piece[] = [{ control: '<|tool_call_start|>' }]
    const steps = splitSteps([...controls, ...cut(["[echo(text='abc"], 1)], { family: lfm2, controls })
    const texts = steps.flat().flatMap((part) => (part.kind === 'call' ? [part.delta.argumentsDelta] : []))
    expect(texts.slice(-3)).toEqual(['a', 'b', 'c'])
  })

  it('is text if the request has no tools', () => {
    const splitter = createAnswerSplitter({
      family: hermes,
      tools: [],
      startsInThought: false,
      isControl: () => false,
    })
    const parts = [...splitter.push('<tool_call>{"name": "clock"}</tool_call>'), ...splitter.flush()]
    expect(join(parts)).toMatchObject({ text: '<tool_call>{"name": "clock"}</tool_call>', calls: [] })
  })

  it('of a tool that the request does not have is a call: the app decides', () => {
    const answer = '<tool_call>{"name": "rm", "arguments": {"path": "/"}}</tool_call>'
    expect(split([answer], { family: hermes }).calls).toEqual([{ name: 'rm', arguments: '{"path": "/"}' }])
  })

  it('without marks is held back only while it can be one', () => {
    const steps = splitSteps(cut(['{"city": "Bonn"}'], 1), { family: llama })
    const texts = steps.map((parts) => join(parts).text)
    expect(texts.findIndex((text) => text !== '')).toBeLessThanOrEqual(10)
    expect(texts.join('')).toBe('{"city": "Bonn"}')
  })

  it('has an id of nine letters or digits, and another one each time', () => {
    const splitter = createAnswerSplitter({
      family: hermes,
      tools,
      startsInThought: false,
      isControl: () => false,
    })
    const parts = splitter.push('<tool_call>{"name": "a"}</tool_call><tool_call>{"name": "b"}</tool_call>')
    const ids = parts.flatMap((part) => (part.kind === 'call' ? [part.delta.id] : []))
    expect(new Set(ids).size).toBe(2)
    for (const id of ids) expect(id).toMatch(/^[a-zA-Z0-9]{9}$/)
  })
})

it('a thought that a control token opens is reasoning anywhere in the answer', () => {
  const controls: Piece[] = [{ control: '<think>' }, { control: '</think>' }]
  const { text, reasoning } = split(['Yes. ', controls[0]!, 'Hm', controls[1]!, ' No.'], {
    family: hermes,
    controls,
  })
  expect({ text, reasoning }).toEqual({ text: 'Yes.No.', reasoning: 'Hm' })
})
