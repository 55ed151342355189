// The embedded model, in Node, with a stand-in for the browser's private file system.
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { prefixFolderName, storeFolderName } from '../../lib/contract/store-layout.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { GenerationStep, KeptPrefix } from '../../lib/contract/worker-api.js'
import { chatRequest } from '../request.test-support.js'
import { openStore } from '../store/open-store.js'
import { createFakeFileSystem, type FakeFileSystem } from '../store/opfs.test-support.js'
import { createDecoderPool } from './decoder-pool.js'
import { generateTokens } from './generate.js'
import { openKeptPrefixes, type KeptPrefixes, type PrefixOwner } from './kept-prefixes.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

const folderUrl = 'https://models.example/stories/'
const owner: PrefixOwner = {
  folderUrl,
  modelUrl: folderUrl,
  files: { 'onnx/model_quantized.onnx': '"1"' },
  conditions: ['wasm', 512],
  budgetBytes: 2 ** 30,
}
const long = 'Tell me a story about a dragon and a cat. '.repeat(6)
const sayings = (content: string) => [{ role: 'user', content }] as const
const request = chatRequest(sayings(long), { temperature: 0, maxTokens: 5 })
const followUp = chatRequest(
  [
    ...sayings(long),
    { role: 'assistant', content: 'Once upon a time.' },
    { role: 'user', content: 'Go on.' },
  ],
  { temperature: 0, maxTokens: 5 },
)

let model: NodeModel
let cold: { readonly answer: readonly number[]; readonly followUp: readonly number[] }
let system: FakeFileSystem
beforeAll(async () => {
  model = await openNodeModel('demo/public/models/stories', undefined, ['q8'], 0)
  cold = { answer: readIds(await run(request)), followUp: readIds(await run(followUp)) }
}, 60_000)

/** Stands in for Web Locks that are always free: Node 20 has none. */
const locks = {
  request: async (name: string, ...rest: readonly unknown[]) =>
    (rest.at(-1) as (lock: object) => unknown)({ name }),
}

beforeEach(async () => {
  system = createFakeFileSystem()
  vi.stubGlobal('navigator', { locks, storage: { getDirectory: () => Promise.resolve(system.root) } })
  ;(await openStore(folderUrl)).close()
})
afterEach(() => vi.unstubAllGlobals())

/** Answers with a cache that holds nothing of it, as after a reload. */
async function run(asked: GenerateRequest, kept?: KeptPrefixes, signal = new AbortController().signal) {
  // The decoder keeps no earlier conversations.
  model.decoder.recall([])
  return continueRun(asked, kept, signal)
}

async function continueRun(
  asked: GenerateRequest,
  kept?: KeptPrefixes,
  signal = new AbortController().signal,
): Promise<readonly GenerationStep[]> {
  const steps = generateTokens(
    createDecoderPool(model.decoder),
    model.config,
    asked,
    { signal, queueMs: 0 },
    undefined,
    kept,
  )
  const all: GenerationStep[] = []
  for await (const step of steps) all.push(step)
  return all
}

const readIds = (steps: readonly GenerationStep[]) =>
  steps.flatMap((step) => (step.kind === 'chunk' ? step.tokenIds : []))

const readStart = (steps: readonly GenerationStep[]) => steps.find((step) => step.kind === 'started')!

const listKept = () => system.listFiles().filter((path) => path.startsWith(`${prefixFolderName}/`))

async function keep(kept: KeptPrefixes, asked = request, signal?: AbortSignal): Promise<KeptPrefix> {
  const steps = await run({ ...asked, prefillOnly: true, keepsPrefix: true }, kept, signal)
  return steps.find((step) => step.kind === 'kept')!.prefix
}

it('a kept prefix is used after a reload, and the answer is the same', async () => {
  expect(await keep(openKeptPrefixes(owner))).toMatchObject({ isKept: true })
  const steps = await run(request, openKeptPrefixes(owner))
  expect(readStart(steps).cachedPromptTokens).toBe(readStart(steps).promptTokens! - 1)
  expect(readIds(steps)).toEqual(cold.answer)
})

it('a prompt that continues a kept prefix uses it, and the answer is the same', async () => {
  await keep(openKeptPrefixes(owner))
  const steps = await run(followUp, openKeptPrefixes(owner))
  const { cachedPromptTokens, promptTokens } = readStart(steps)
  expect(cachedPromptTokens).toBeGreaterThan(promptTokens! - 30)
  expect(readIds(steps)).toEqual(cold.followUp)
})

it('a kept prefix that memory holds as well is not read', async () => {
  const kept = openKeptPrefixes(owner)
  await keep(kept)
  const read = vi.spyOn(model.decoder, 'restoreStates')
  await continueRun(request, kept)
  expect(read).not.toHaveBeenCalled()
})

it.each([
  ['another device', { conditions: ['webgpu', 512] }],
  ['another context length', { conditions: ['wasm', 256] }],
  ['other files', { files: { 'onnx/model.onnx': '"1"' } }],
])('with %s, a kept prefix is not used, and stays', async (_, change) => {
  await keep(openKeptPrefixes(owner))
  const steps = await run(request, openKeptPrefixes({ ...owner, ...change }))
  expect(readStart(steps).cachedPromptTokens).toBeLessThan(32)
  expect(readIds(steps)).toEqual(cold.answer)
  expect(listKept()).not.toEqual([])
})

it('a kept prefix of a file that has changed is removed', async () => {
  await keep(openKeptPrefixes(owner))
  const changed = { 'onnx/model_quantized.onnx': '"2"' }
  const steps = await run(request, openKeptPrefixes({ ...owner, files: changed }))
  expect(readStart(steps).cachedPromptTokens).toBeLessThan(32)
  expect(listKept()).toEqual([])
})

/** Changes the content of a stored file. */
async function damage(name: RegExp, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>) {
  const path = listKept()
    .find((each) => name.test(each))!
    .split('/')
  let directory = system.root
  for (const part of path.slice(0, -1)) directory = await directory.getDirectoryHandle(part)
  const file = await directory.getFileHandle(path.at(-1)!)
  const bytes = change(new Uint8Array(await (await file.getFile()).arrayBuffer()))
  const handle = await file.createSyncAccessHandle()
  handle.truncate(0)
  handle.write(bytes, { at: 0 })
  handle.close()
}

const replaceText = (from: string | RegExp, to: string) => (bytes: Uint8Array<ArrayBuffer>) =>
  new Uint8Array(new TextEncoder().encode(new TextDecoder().decode(bytes).replace(from, to)))

it.each([
  ['a changed byte', /\/0$/, (bytes: Uint8Array<ArrayBuffer>) => bytes.with(1000, bytes[1000]! ^ 1)],
  ['missing bytes', /\/0$/, (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(4)],
  ['more bytes', /\/0$/, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array.from([...bytes, 0])],
  ['another hash', /complete$/, replaceText(/^./, 'x')],
  ['other tokens', /record\.json$/, replaceText(/"ids":\[\d+/, '"ids":[7')],
  ['other files', /record\.json$/, replaceText('model_quantized', 'model_q4')],
  ['half a record', /record\.json$/, (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(0, 40)],
])('with %s, a kept prefix is removed, and the prompt is computed', async (_, name, change) => {
  await keep(openKeptPrefixes(owner))
  await damage(name, change)
  const steps = await run(request, openKeptPrefixes(owner))
  expect(readStart(steps).cachedPromptTokens).toBeLessThan(32)
  expect(readIds(steps)).toEqual(cold.answer)
  expect(listKept()).toEqual([])
})

it('a prefix that the tab did not finish writing is removed', async () => {
  await keep(openKeptPrefixes(owner))
  const [directory, file] = listKept()
    .find((path) => path.endsWith('complete'))!
    .split('/')
    .slice(1)
  const prefixes = await system.root.getDirectoryHandle(prefixFolderName)
  const kept = await (await prefixes.getDirectoryHandle(directory!)).getDirectoryHandle(file!)
  await kept.removeEntry('complete')
  const steps = await run(request, openKeptPrefixes(owner))
  expect(readStart(steps).cachedPromptTokens).toBeLessThan(32)
  expect(listKept()).toEqual([])
})

it('the least recently used prefixes are removed to stay within the budget, and never a model', async () => {
  const others = ['A tale of the sea. ', 'A tale of the woods. '].map((text) =>
    chatRequest(sayings(text.repeat(12))),
  )
  const first = await keep(openKeptPrefixes(owner))
  if (!first.isKept) throw new Error(first.reason)
  const kept = openKeptPrefixes({ ...owner, budgetBytes: first.sizeBytes * 2.2 })
  await keep(kept, others[0])
  // Used again, so that it is not the oldest.
  await run(request, openKeptPrefixes(owner))
  await keep(kept, others[1])
  const started = async (asked: GenerateRequest) =>
    readStart(await run({ ...asked, prefillOnly: true }, openKeptPrefixes(owner))).cachedPromptTokens
  expect(await started(request)).toBeGreaterThan(50)
  expect(await started(others[0]!)).toBeLessThan(32)
  expect(await started(others[1]!)).toBeGreaterThan(50)
  const models = await system.root.getDirectoryHandle(storeFolderName)
  for await (const entry of models.values()) expect(entry.kind).toBe('directory')
})

it('a conversation that goes on replaces its earlier prefix, and a much shorter start stays', async () => {
  const start = sayings(long)
  const messages = [...start, { role: 'assistant', content: long.repeat(2) }] as const
  const kept = openKeptPrefixes(owner)
  const count = () => listKept().filter((path) => path.endsWith('complete')).length
  await keep(kept, chatRequest(start))
  await keep(kept, chatRequest(messages))
  expect(count()).toBe(2)
  await keep(kept, chatRequest([...messages, { role: 'user', content: 'Go on.' }]))
  expect(count()).toBe(2)
})

it.each([
  ['the budget is too small', { budgetBytes: 1000 }, /takes \d+ bytes, but .* allows 1000/],
  ['the version of the model is not known', { files: undefined }, /version of the model is not known/],
  ['the model was removed', { folderUrl: 'https://models.example/other/' }, /not in the store/],
])('a prefill says why it keeps nothing: %s', async (_, change, reason) => {
  const prefix = await keep(openKeptPrefixes({ ...owner, ...change }))
  expect(prefix).toEqual({ isKept: false, reason: expect.stringMatching(reason) })
  expect(listKept()).toEqual([])
})

it('a prefill says that the disk is full, and leaves nothing', async () => {
  const kept = openKeptPrefixes(owner)
  system.fault = 'full'
  expect(await keep(kept)).toEqual({ isKept: false, reason: expect.stringMatching(/full/) })
  system.fault = undefined
  await run(request, openKeptPrefixes(owner))
  expect(listKept().filter((path) => !path.endsWith('record.json'))).toEqual([])
})

it('a prefill says that there is no store', async () => {
  vi.stubGlobal('navigator', { locks, storage: {} })
  expect(await keep(openKeptPrefixes(owner))).toMatchObject({ isKept: false })
})

it('an interrupted prefill keeps nothing', async () => {
  const abort = new AbortController()
  const copy = model.decoder.copyStates
  vi.spyOn(model.decoder, 'copyStates').mockImplementationOnce((ids) => {
    setTimeout(() => abort.abort(new Error('interrupted')))
    return copy(ids)
  })
  await expect(keep(openKeptPrefixes(owner), request, abort.signal)).rejects.toThrow('interrupted')
  expect(listKept()).toEqual([])
  expect(system.openHandles).toBe(0)
})
