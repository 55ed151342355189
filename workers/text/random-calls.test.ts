// With the real grammar engine. Its vocabulary has a token for each byte, and the family's marks as control tokens or as text.
// Random texts of a form go through the family's splitter.
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import type { RequestOptions, RequestTool } from '../../lib/contract/request.js'
import { drawUniform } from '../onnx/draw-uniform.test-support.js'
import { describeAnswer } from './answer-grammar.js'
import { answerFixtures } from './channels/answer-fixtures.test-support.js'
import { listMarks, type AnswerFamily } from './channels/answer-family.js'
import { createAnswerSplitter } from './channels/create-answer-splitter.js'
import { loadXgrammar } from './grammar/load-xgrammar.test-support.js'
import { addMarkTokens, createMarkCodes } from './grammar/mark-codes.js'
import { createXgrammarEngine } from './grammar/xgrammar-engine.js'

const families = new Map(
  answerFixtures
    .filter(({ family }) => (family.kind === 'harmony' ? family.hasTools : family.calls !== undefined))
    .map(({ family }) => [JSON.stringify(family), family]),
)

const tools: readonly RequestTool[] = [
  {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 8 },
        days: { type: 'integer', minimum: 1, maximum: 9 },
        unit: { enum: ['celsius', 'fahrenheit'] },
        exact: { type: 'boolean' },
      },
      required: ['city', 'days'],
    },
  },
  { name: 'clock', parameters: { type: 'object', properties: {} } },
]
const validators = new Map(
  tools.map(({ name, parameters }) => [
    name,
    new Ajv().compile({ ...parameters, additionalProperties: false }),
  ]),
)

const firstControl = 256
const endId = 400

/** Opens a writer of random texts of a form. */
async function openWriter(family: AnswerFamily, areControls: boolean, options: Partial<RequestOptions>) {
  const marks = listMarks(family)
  const controls = areControls ? marks : []
  const codes = createMarkCodes(marks, {
    findId: (mark) => (controls.includes(mark) ? firstControl + controls.indexOf(mark) : undefined),
    readControlText: (id) => controls[id - firstControl],
  })
  const bytes = Array.from({ length: endId + 1 }, (_, id) => (id < firstControl ? [id] : undefined))
  const tokens = addMarkTokens(bytes, codes.characters)
  const engine = await createXgrammarEngine(await loadXgrammar(), {
    tokens,
    endIds: new Set([endId]),
    hasMarks: codes.characters.size > 0,
  })
  // Harmony's answers start with a thought, unless it can be left out.
  const place = { family, isInThought: false, canThink: family.kind === 'harmony' }
  const encode = (text: string) => codes.encodeParts([{ text, isContent: false }])
  const grammar = describeAnswer({ tools, ...options }, place, encode)!
  const compiled = await engine.compile(codes.encodeForm(grammar.form), 'tools')

  /** @returns the ids of a text; undefined if it gets too long */
  return async function write(seed: number): Promise<readonly number[] | undefined> {
    const matcher = await compiled.createMatcher()
    try {
      const ids: number[] = []
      for (let step = 0; step < 400; step += 1) {
        const mask = await matcher.computeMask()
        const allowed = tokens.flatMap((_, id) => ((mask[id >> 5]! >> (id & 31)) & 1 ? [id] : []))
        const closing = allowed.filter(
          (id) => id >= firstControl || '"]})<'.includes(String.fromCharCode(id)),
        )
        const from = closing.length > 0 && drawUniform(seed, step, 1) < 0.5 ? closing : allowed
        // Mostly letters, so that values differ.
        const letters = from.filter((id) => id >= 97 && id <= 122)
        const chosen = letters.length > 0 && drawUniform(seed, step, 3) < 0.8 ? letters : from
        const id = chosen[Math.floor(drawUniform(seed, step, 2) * chosen.length)]!
        expect(matcher.accept(id)).toBe(true)
        if (id === endId) return ids
        ids.push(id)
      }
      return undefined
    } finally {
      matcher.release()
    }
  }
}

/** Reads an answer with the family's splitter. */
function read(family: AnswerFamily, areControls: boolean, ids: readonly number[]) {
  const marks = listMarks(family)
  const splitter = createAnswerSplitter({
    family,
    tools,
    startsInThought: false,
    isControl: (text) => areControls && marks.includes(text),
  })
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const parts = ids.flatMap((id) =>
    id >= firstControl
      ? splitter.pushControl(marks[id - firstControl]!)
      : splitter.push(decoder.decode(Uint8Array.of(id), { stream: true })),
  )
  const all = [...parts, ...splitter.flush()]
  const calls = new Map<number, { name: string; text: string }>()
  let text = ''
  for (const part of all) {
    if (part.kind === 'text') text += part.text
    if (part.kind !== 'call') continue
    const { index, name = '', argumentsDelta } = part.delta
    const call = calls.get(index) ?? { name, text: '' }
    call.text += argumentsDelta
    calls.set(index, call)
  }
  return { text, calls: [...calls.values()] }
}

describe.each([...families.values()].map((family) => [describeFamily(family), family] as const))(
  'a demanded call of %s',
  (_, family) => {
    it.each([true, false])(
      'is read as a valid call, whatever the model writes; marks are control tokens: %s',
      async (areControls) => {
        const write = await openWriter(family, areControls, {
          toolChoice: 'required',
          parallelToolCalls: false,
        })
        let written = 0
        for (let seed = 0; seed < 12; seed += 1) {
          const ids = await write(seed)
          if (!ids) continue
          written += 1
          const { text, calls } = read(family, areControls, ids)
          const shown = new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < firstControl)))
          expect(text.trim(), shown).toBe('')
          expect(calls, shown).toHaveLength(1)
          const [call] = calls
          const validate = validators.get(call!.name)
          expect(validate?.(JSON.parse(call!.text)), `${shown} → ${call!.text}`).toBe(true)
        }
        expect(written).toBeGreaterThan(3)
      },
    )
  },
)

function describeFamily(family: AnswerFamily): string {
  if (family.kind === 'harmony') return 'gpt-oss'
  const { open = '', syntax } = family.calls ?? {}
  return `${syntax?.kind} after "${open}"`
}
