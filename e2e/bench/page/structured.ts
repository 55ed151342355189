import { answerExactly, describePlan, sequence, withSubjects, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createPrompts } from './prompts.js'
import { createRow } from './rows.js'
import { openRivulet, openTransformers } from './subjects.js'
import type { Subject, Turn } from './subject.js'

/** A long string: the form forces nothing, so each token needs a step of the model and a mask. */
const freeSchema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] }

/** Most of the text follows from the schema. */
const forcedSchema = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      identifier: { type: 'integer' },
      description: { enum: ['yes', 'no'] },
      isComplete: { type: 'boolean' },
    },
    required: ['identifier', 'description', 'isComplete'],
    additionalProperties: false,
  },
  minItems: 50,
}

/** Compares steps with a mask to steps without one, and to those of transformers.js with its structured-output package. */
export function measureStructured({
  newTokens,
  ...role
}: WorkerRole & { readonly newTokens: number }): Section {
  return async (plan) => {
    const {
      model,
      rounds,
      contexts: [context = 64],
    } = plan
    const setup = { ...role, model }
    const subjects = [await openRivulet(setup), await openTransformers(setup)] as const
    return withSubjects(subjects, async ([ours, theirs]) => {
      const createPrompt = createPrompts()
      const ask = async (subject: Subject, options: Partial<Turn>) => {
        const turn = { prompt: createPrompt(context), maxTokens: newTokens, ...options }
        return answerExactly(subject, context, turn)
      }
      const turns = { free: {}, text: { jsonSchema: freeSchema }, forced: { jsonSchema: forcedSchema } }
      for (const subject of subjects) for (const options of Object.values(turns)) await ask(subject, options)
      const measured = { plain: [], masked: [], peer: [], forced: [], peerForced: [], steps: [] } as Record<
        'plain' | 'masked' | 'peer' | 'forced' | 'peerForced' | 'steps',
        number[]
      >
      for (const round of sequence(rounds)) {
        measured.plain.push((await ask(ours, turns.free)).msPerToken)
        measured.masked.push((await ask(ours, turns.text)).msPerToken)
        measured.peer.push((await ask(theirs, turns.text)).msPerToken)
        const before = await ours.readCounts()
        measured.forced.push((await ask(ours, turns.forced)).msPerToken)
        // A step of the model reads back one token of 8 bytes.
        measured.steps.push(((await ours.readCounts()).bytesReadBack - before.bytesReadBack) / 8 / newTokens)
        measured.peerForced.push((await ask(theirs, turns.forced)).msPerToken)
        console.log(`${plan.section}, ${model.name}: round ${round + 1}`)
      }
      const describe = { ...describePlan(plan), context }
      const peer = (values: readonly number[]) => ({ name: theirs.name, values })
      return [
        createRow({
          ...describe,
          quantity: 'time per token of JSON, against free text',
          unit: 'ms',
          values: measured.masked,
          baseline: { name: 'without a form', values: measured.plain },
          bound: { of: 'ratio', kind: 'at most', limit: 1.5 },
        }),
        createRow({
          ...describe,
          quantity: 'time per token of JSON',
          unit: 'ms',
          values: measured.masked,
          baseline: peer(measured.peer),
          bound: { of: 'ratio', kind: 'at most', limit: 1 },
        }),
        createRow({
          ...describe,
          quantity: 'time per token of JSON with forced text',
          unit: 'ms',
          values: measured.forced,
          baseline: peer(measured.peerForced),
          bound: { of: 'ratio', kind: 'at most', limit: 1 },
        }),
        createRow({
          ...describe,
          quantity: 'steps per token of JSON with forced text',
          unit: '',
          values: measured.steps,
          bound: { of: 'value', kind: 'at most', limit: 0.8 },
        }),
      ]
    })
  }
}
