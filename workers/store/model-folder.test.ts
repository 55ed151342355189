import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DownloadRequest } from '../../lib/contract/download-request.js'
import type { ModelLocation } from '../../lib/contract/model-location.js'
import { sha256, startFaultServer, type FaultServer } from './fault-server.test-support.js'
import { collectProgress } from './collect-progress.js'
import { openModelFolder } from './model-folder.js'

const encode = (text: string) => new TextEncoder().encode(text)
const contents: Record<string, Uint8Array> = {
  'config.json': encode('{}'),
  'onnx/model.onnx': encode('weights'),
  'onnx/model_q4.onnx': encode('fewer'),
  'a b.gguf': encode('GGUF'),
}
const listed = Object.entries(contents).map(([path, bytes]) => ({
  type: 'file',
  path,
  size: bytes.length,
  oid: sha256(bytes),
}))
const wrong = '0'.repeat(64)
let server: FaultServer

beforeEach(async () => {
  // Without a file system, as in a page that is not secure: the store is in memory.
  vi.stubGlobal('navigator', {})
  server = await startFaultServer({ ...contents, listing: encode(JSON.stringify(listed)) })
})
afterEach(() => {
  vi.unstubAllGlobals()
  return server.close()
})

type Location = Exclude<ModelLocation, { kind: 'none' }>

const places: Record<string, () => Location> = {
  'a plain folder': () => ({ kind: 'folder', url: server.url }),
  'a hub': () => ({
    kind: 'hub',
    url: server.url,
    name: 'owner/name',
    listingUrl: `${server.url}listing`,
    isCommit: false,
  }),
  "a folder of the user's": () => ({
    kind: 'local',
    name: 'mine',
    files: new Map(
      Object.entries(contents).map(([path, bytes]) => [
        path,
        new File([bytes as Uint8Array<ArrayBuffer>], path),
      ]),
    ),
  }),
}

function open(location: Location, hashes: DownloadRequest['sha256']) {
  return openModelFolder(
    location,
    { headers: {}, sha256: hashes, revalidate: true, idleTimeoutMs: 1000 },
    { onProgress: collectProgress(() => {}), signal: new AbortController().signal },
  )
}

it.each(Object.keys(places))('%s reports which files it has, without downloading them', async (name) => {
  const folder = await open(places[name]!(), {})
  const paths = ['onnx/model.onnx', 'onnx/model_q4.onnx', 'onnx/model_fp16.onnx']
  expect(await Promise.all(paths.map(folder.has))).toEqual([true, true, false])
  const downloads = server.requests.filter(({ method, path }) => method === 'GET' && path in contents)
  expect(downloads).toEqual([])
  folder.close()
})

it.each(Object.keys(places))('%s opens files to read parts of them, and closes them', async (name) => {
  const folder = await open(places[name]!(), {})
  const file = await folder.openFile('onnx/model.onnx')
  const target = new Uint8Array(3)
  file!.readInto(target, 2)
  expect(new TextDecoder().decode(target)).toBe('igh')
  expect(() => file!.readInto(target, 5)).toThrow(
    expect.objectContaining({
      code: 'download-failed',
      message: expect.stringContaining('onnx/model.onnx could not be read'),
    }),
  )
  expect(await folder.openFile('onnx/model_fp16.onnx')).toBeUndefined()
  folder.close()
})

describe.each(Object.keys(places))('a hash for a file of %s', (name) => {
  it.each(['onnx/modle.onnx', 'generation_config.json'])(
    'is refused before any download if there is no such file: %s',
    async (path) => {
      await expect(open(places[name]!(), { 'config.json': wrong, [path]: wrong })).rejects.toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining(`"${path}"`),
      })
      expect(
        server.requests.filter((request) => request.method === 'GET' && request.path in contents),
      ).toEqual([])
    },
  )

  it('is checked', async () => {
    const path = 'onnx/model.onnx'
    const folder = await open(places[name]!(), { [path]: sha256(contents[path]!) })
    expect(await folder.readText(path)).toBe('weights')
    const damaged = await open(places[name]!(), { [path]: wrong })
    await expect(damaged.readText(path)).rejects.toMatchObject({
      code: 'integrity-failed',
      details: { file: path, expected: wrong, got: sha256(contents[path]!) },
    })
  })

  it('is accepted if this load does not read the file', async () => {
    const folder = await open(places[name]!(), { 'onnx/model_q4.onnx': wrong })
    expect(await folder.readText('onnx/model.onnx')).toBe('weights')
  })
})

describe('a hash for an unknown file', () => {
  it.each(['a hub', "a folder of the user's"])('is refused with the files of %s', async (name) => {
    await expect(open(places[name]!(), { 'model.onnx.data': wrong })).rejects.toThrow(
      'It has: config.json, onnx/model.onnx, onnx/model_q4.onnx, a b.gguf.',
    )
  })

  it.each(['../config.json', 'https://elsewhere.example/config.json', '//elsewhere.example/'])(
    'is refused without a request where its path leaves the folder: %s',
    async (path) => {
      const location = { kind: 'folder', url: `${server.url}onnx/` } as const
      await expect(open(location, { [path]: wrong })).rejects.toMatchObject({ code: 'invalid-option' })
      expect(server.requests).toEqual([])
    },
  )

  it('is refused where the server shows its own page for it', async () => {
    server.files.get('config.json')!.faults.push('HTML with 200')
    server.refusesHead = true
    await expect(open(places['a plain folder']!(), { 'config.json': wrong })).rejects.toMatchObject({
      code: 'invalid-option',
    })
  })

  it('is not decided by a server that refuses HEAD requests', async () => {
    server.refusesHead = true
    const folder = await open(places['a plain folder']!(), {
      'config.json': sha256(contents['config.json']!),
    })
    expect(await folder.readText('config.json')).toBe('{}')
    await expect(open(places['a plain folder']!(), { 'confg.json': wrong })).rejects.toMatchObject({
      code: 'invalid-option',
    })
  })

  it('fails the load of a model that is not stored where the server cannot be reached', async () => {
    server.isDown = true
    await expect(open(places['a plain folder']!(), { 'config.json': wrong })).rejects.toMatchObject({
      code: 'download-failed',
    })
  }, 10_000)
})

describe('a hash for a GGUF file', () => {
  it.each(['a b.gguf', 'a%20b.gguf', './a b.gguf'])('finds it under its signed address: %s', async (path) => {
    const location = { kind: 'folder', url: server.url, query: '?signature=1', file: 'a%20b.gguf' } as const
    const folder = await open(location, { [path]: sha256(contents['a b.gguf']!) })
    expect(await folder.readText(location.file)).toBe('GGUF')
    expect(server.requests.map(({ query }) => query)).toEqual(['?signature=1', '?signature=1'])
    const damaged = await open(location, { [path]: wrong })
    await expect(damaged.readText(location.file)).rejects.toMatchObject({ code: 'integrity-failed' })
  })

  it('is refused with the name of the file, but not its signature, if it is for another file', async () => {
    const location = { kind: 'folder', url: server.url, query: '?signature=1', file: 'a%20b.gguf' } as const
    const opening = open(location, { 'b.gguf': wrong })
    await expect(opening).rejects.toThrow(/has no such file\. It has: a%20b\.gguf\./)
    await expect(opening).rejects.not.toThrow('signature')
  })

  it('finds a file that was chosen without its folder', async () => {
    const file = new File(['weights'], 'model.onnx')
    const location = { kind: 'local', name: 'files', files: new Map([[file.name, file]]) } as const
    for (const path of ['model.onnx', 'onnx/model.onnx']) {
      const folder = await open(location, { [path]: wrong })
      await expect(folder.readText('onnx/model.onnx')).rejects.toMatchObject({ code: 'integrity-failed' })
    }
  })
})
