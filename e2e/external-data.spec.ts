// A model whose weights are in an external file, as most models on the hub are: the embedded model, with its weights moved out.
import { readFileSync } from 'node:fs'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { expect, test, type Page } from '@playwright/test'
import { ModelProtoSchema } from '../workers/onnx/onnx_pb.js'
import { leaveWeightsInFile } from '../workers/onnx/rewrite-graph.js'
import { startFaultServer } from '../workers/store/fault-server.test-support.js'
import { embeddedModel, openBarePage, type Device } from './bare-page.js'

const readFile = (path: string) =>
  new Uint8Array(readFileSync(new URL(`../demo/public/models/stories/${path}`, import.meta.url)))

const graphFile = 'onnx/model_quantized.onnx'
const dataFile = 'onnx/model_quantized.onnx_data'
const whole = readFile(graphFile)
const model = fromBinary(ModelProtoSchema, whole)
leaveWeightsInFile(model.graph!, 'model_quantized.onnx_data')
const texts = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']
const files = {
  ...Object.fromEntries(texts.map((path) => [path, readFile(path)])),
  [graphFile]: toBinary(ModelProtoSchema, model),
  // The weights are at their offsets in the graph's file.
  [dataFile]: whole,
}

/** Loads a model and generates the start of an answer. The engine stays open. */
function ask(page: Page, model: string | readonly string[], device: Device) {
  return page.evaluate(
    async ({ model, device }) => {
      const { createEngine, onnx } = window.rivulet
      const fetchFile = async (url: string) =>
        new File([await (await fetch(url)).blob()], url.slice(url.lastIndexOf('/') + 1))
      const engine = await createEngine({
        backend: onnx({ device }),
        // Files as the user chooses them.
        model: typeof model === 'string' ? model : await Promise.all(model.map(fetchFile)),
      })
      return engine.generate('Tell me a story about a dragon.', { temperature: 0, maxTokens: 8 }).text()
    },
    { model, device },
  )
}

/** Opens a stored file in a worker of another tab, so that no other thread can open it. */
async function holdFile(page: Page, path: string): Promise<void> {
  await page.evaluate(async (path) => {
    const code = `onmessage = async ({ data }) => {
      const models = await (await navigator.storage.getDirectory()).getDirectoryHandle('rivulet-models')
      for await (const folder of models.values()) {
        const file = await folder.getDirectoryHandle(encodeURIComponent(data)).catch(() => undefined)
        if (file) globalThis.handle = await (await file.getFileHandle('0')).createSyncAccessHandle()
      }
      postMessage('handle' in globalThis)
    }`
    const worker = new Worker(URL.createObjectURL(new Blob([code])))
    worker.postMessage(path, [])
    const isOpen = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data)
    })
    if (isOpen !== true) throw new Error('The file is not stored.')
  }, path)
}

test('weights in an external file are read from the store, from a busy file and from files of the user', async ({
  page,
  context,
}) => {
  const server = await startFaultServer(files)
  await openBarePage(page)
  const expected = await ask(page, embeddedModel, 'wasm')
  expect(expected).toMatch(/^Once upon a time/)
  expect(await ask(page, server.url, 'wasm')).toBe(expected)
  const other = await openBarePage(await context.newPage())
  await holdFile(other, dataFile)
  expect(await ask(page, server.url, 'wasm')).toBe(expected)
  await other.close()
  expect(
    await ask(
      page,
      Object.keys(files).map((path) => server.url + path),
      'wasm',
    ),
  ).toBe(expected)
  // Loaded engines leave the files free.
  const models = await page.evaluate(async (model) => {
    const { store } = window.rivulet
    await store.remove(model)
    return store.list()
  }, server.url)
  expect(models.map(({ model }) => model)).not.toContain(server.url)
  await server.close()
})

test('weights in an external file go from the store to the GPU', { tag: '@soak' }, async ({ page }) => {
  const server = await startFaultServer(files)
  await openBarePage(page)
  const expected = await ask(page, embeddedModel, 'wasm')
  // The first load also checks the steps of the model.
  for (let load = 0; load < 2; load += 1) expect(await ask(page, server.url, 'webgpu')).toBe(expected)
  await server.close()
})
