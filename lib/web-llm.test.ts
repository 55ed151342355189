import { describe, expect, it } from 'vitest'
import { webLlm, type WebLlmModelRecord } from './web-llm.js'

const record: WebLlmModelRecord = {
  model: 'https://models.example/story/resolve/main/',
  model_id: 'Story-1B-q4f32_1-MLC',
  model_lib: 'https://models.example/story.wasm',
}
const hash = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

it('needs no model from createEngine, and sends only plain data to the worker', () => {
  const integrity = { config: hash, tokenizer: { 'tokenizer.json': hash } }
  const factory = webLlm({ model: record.model_id, modelRecords: [{ ...record, integrity }] })
  expect(factory).toMatchObject({ name: 'web-llm', model: { kind: 'named' } })
  expect(factory.options).toEqual({
    model: record.model_id,
    modelRecords: [{ ...record, integrity }],
    cache: undefined,
    contextLength: undefined,
  })
  expect(structuredClone(factory.options)).toEqual(factory.options)
})

describe('webLlm() refuses an invalid option by name', () => {
  it.each([
    [{ model: '' }, 'model'],
    [{}, 'model'],
    [{ model: 'a', quantization: 'q4f16' }, 'quantization'],
    [{ model: 'a', cache: 'cross-origin' }, 'cache'],
    [{ model: 'a', contextLength: 0 }, 'contextLength'],
    [{ model: 'a', contextLength: '4096' }, 'contextLength'],
    [{ model: 'a', modelRecords: record }, 'modelRecords'],
    [{ model: 'a', worker: 'worker.js' }, 'worker'],
  ])('%j', expectRefusal)

  it.each([
    [null, '[0]'],
    [{ ...record, model_lib: undefined }, 'model_lib'],
    [{ ...record, model: 'https://' }, 'model'],
    [{ ...record, integrty: { config: hash } }, 'integrty'],
    [{ ...record, integrity: { modelLib: hash } }, 'modelLib'],
    [{ ...record, integrity: { config: 'sha256-short!' } }, 'config'],
    [{ ...record, integrity: { tokenizer: { 'tokenizer.json': '47DEQ' } } }, 'tokenizer.json'],
    [{ ...record, integrity: { config: hash, onFailure: 'ignore' } }, 'onFailure'],
    [{ ...record, overrides: { temperature: () => 1 } }, 'plain data'],
  ])('the model record %j', (broken, name) =>
    expectRefusal({ model: 'a', modelRecords: [broken] } as object, name),
  )
})

function expectRefusal(options: object, name: string): void {
  expect(() => webLlm(options as never)).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) }),
  )
}
