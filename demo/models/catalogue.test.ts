import { prebuiltAppConfig } from '@mlc-ai/web-llm'
import { expect, test } from 'vitest'
import { hubModels, type ModelEntry } from './catalogue.js'

const webLlmModels = (hubModels as readonly ModelEntry[]).filter(({ runtime }) => runtime === 'web-llm')

test.each(webLlmModels)('the memory of $choice.model is the value in web-llm’s model list', (entry) => {
  const listed = prebuiltAppConfig.model_list.find(({ model_id }) => model_id === entry.choice.model)
  expect(entry.memoryBytes).toBe((listed?.vram_required_MB ?? 0) * 1e6)
})

test('every entry has a unique id', () => {
  const ids = (hubModels as readonly ModelEntry[]).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})
