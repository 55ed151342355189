// A model in two graphs, as multimodal models are: the embedded model, split.
import { readFileSync } from 'node:fs'
import { expect, test, type Page } from '@playwright/test'
import { splitModel } from '../workers/onnx/split-model.test-support.js'
import { startFaultServer } from '../workers/store/fault-server.test-support.js'
import { embeddedModel, openBarePage } from './bare-page.js'

const readFile = (path: string) =>
  new Uint8Array(readFileSync(new URL(`../demo/public/models/stories/${path}`, import.meta.url)))

const { embedding, decoder } = splitModel(readFile('onnx/model_quantized.onnx'))
const graphs = {
  'onnx/embed_tokens.onnx': embedding,
  'onnx/decoder_model_merged_quantized.onnx': decoder,
}
const texts = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']

/** Loads a model and generates the start of an answer. */
function ask(page: Page, model: string) {
  return page.evaluate(async (model) => {
    const { createEngine, onnx, store } = window.rivulet
    let files: readonly { readonly path: string; readonly totalBytes: number }[] = []
    const engine = await createEngine({
      backend: onnx({ device: 'wasm' }),
      model,
      onProgress: (progress) => (files = progress.files),
    })
    const text = await engine
      .generate('Tell me a story about a dragon.', { temperature: 0, maxTokens: 20 })
      .text()
    const { dtype } = engine.info
    await engine.dispose()
    const stored = (await store.list()).find((each) => each.model === store.locate(model))
    return {
      text,
      dtype,
      sizes: Object.fromEntries(files.map((file) => [file.path, file.totalBytes])),
      stored,
    }
  }, model)
}

test('a model in two graphs streams, and the progress and the store count the files of both', async ({
  page,
}) => {
  await openBarePage(page)
  const { text } = await ask(page, embeddedModel)
  const files = { ...graphs, ...Object.fromEntries(texts.map((path) => [path, readFile(path)])) }
  const server = await startFaultServer(files)
  const split = await ask(page, server.url)
  const sizes = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, bytes.byteLength]))
  expect(split).toMatchObject({ text, dtype: 'q8', sizes })
  const sizeBytes = Object.values(sizes).reduce((sum, bytes) => sum + bytes, 0)
  expect(split.stored).toMatchObject({ storedBytes: sizeBytes, isComplete: true })
  await server.close()
  expect(await ask(page, server.url)).toMatchObject({ text, sizes })
})
