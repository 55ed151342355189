import { signal } from '@preact/signals'
import type { Engine, ModelSupport } from 'rivulet'
import { expect, it } from 'vitest'
import type { LoadState } from '../engine/engine-loader.js'
import { createAnswerMode } from './answer-mode.js'

/** Only what the mode reads of an engine. */
function ready(supports: Pick<ModelSupport, 'formats' | 'options' | 'hints'>): LoadState {
  return { kind: 'ready', engine: { info: { supports } } as Engine }
}

const everything = ready({ formats: ['json', 'json-schema'], options: ['tools', 'responseFormat'] })
const onlyText = ready({ formats: [], options: [], hints: { responseFormat: 'A reason.' } })

it('a form and tools are sent only to a model that takes them', () => {
  const load = signal<LoadState>(everything)
  const mode = createAnswerMode(load)
  expect(mode.chooseForm('story')).toBeUndefined()
  expect(mode.switchTools()).toBeUndefined()
  expect(mode.readOptions()).toMatchObject({
    sampling: { responseFormat: { jsonSchema: { type: 'object' } } },
    tools: [{ name: 'calculate' }, { name: 'clock' }, { name: 'search_page' }],
  })
  load.value = onlyText
  expect(mode.form.value).toBe('text')
  expect(mode.hasTools.value).toBe(false)
  expect(mode.readOptions()).toEqual({ sampling: { responseFormat: undefined }, tools: [] })
  load.value = everything
  expect(mode.form.value).toBe('story')
  expect(mode.hasTools.value).toBe(true)
})

it('says why a model takes no form and no tools', () => {
  const load = signal<LoadState>(onlyText)
  const mode = createAnswerMode(load)
  expect(mode.chooseForm('json')).toContain('A reason.')
  expect(mode.switchTools()).toContain('has no tools')
  load.value = { kind: 'loading', progress: undefined }
  expect(mode.chooseForm('json')).toContain('still loading')
  expect(mode.switchTools()).toContain('still loading')
  load.value = everything
  expect(mode.form.value).toBe('text')
  expect(mode.hasTools.value).toBe(false)
})

it('tools can be turned off, and the user’s schema is the form', () => {
  const mode = createAnswerMode(signal<LoadState>(everything))
  mode.switchTools()
  mode.switchTools()
  expect(mode.hasTools.value).toBe(false)
  mode.chooseForm('own')
  mode.useOwnSchema('{ "type": "null" }')
  expect(mode.readOptions().sampling.responseFormat).toEqual({ jsonSchema: { type: 'null' } })
})
