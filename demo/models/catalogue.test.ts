import { prebuiltAppConfig } from '@mlc-ai/web-llm'
import { expect, test } from 'vitest'
import { groupByModel, hubModels, type ModelEntry } from './catalogue.js'

const webLlmModels = (hubModels as readonly ModelEntry[]).filter(({ runtime }) => runtime === 'web-llm')

test.each(webLlmModels)('the memory of $choice.model is the value in web-llm’s model list', (entry) => {
  const listed = prebuiltAppConfig.model_list.find(({ model_id }) => model_id === entry.choice.model)
  expect(entry.memoryBytes).toBe((listed?.vram_required_MB ?? 0) * 1e6)
})

test('every entry has a unique id', () => {
  const ids = (hubModels as readonly ModelEntry[]).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})

test('a model has one card with all its runtimes, and the newest families come first', () => {
  const cards = groupByModel(hubModels)
  expect(cards.map(({ name }) => name).slice(0, 6)).toEqual([
    'Qwen3 0.6B',
    'Gemma 3 1B',
    'LFM2 350M',
    'SmolLM3 3B',
    'Llama 3.2 1B Instruct',
    'Phi-4 mini',
  ])
  expect(cards[0]?.entries.map(({ runtime }) => runtime)).toEqual(['onnx', 'llama-cpp', 'web-llm'])
})
