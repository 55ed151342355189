// Each kind of host: the model loads, or one clear sentence says why not. No byte is fetched twice.
import { create, toBinary } from '@bufbuild/protobuf'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { ModelLocation } from '../../lib/contract/model-location.js'
import { readModelWeights } from '../onnx/model-weights.js'
import { ModelProtoSchema } from '../onnx/onnx_pb.js'
import { collectProgress } from './collect-progress.js'
import { openModelFolder, type OpenModelFolder } from './model-folder.js'
import { startOddHost, type OddHost } from './odd-host.test-support.js'

const encode = (text: string) => new TextEncoder().encode(text)
const graph = toBinary(
  ModelProtoSchema,
  create(ModelProtoSchema, { graph: { initializer: [{ name: 'w'.repeat(5000) }] } }),
)
/** A folder without the optional `chat_template.jinja`, and with the third variant that is tried. */
const files = {
  'm/config.json': encode(JSON.stringify({ filler: 'x'.repeat(5000) })),
  'm/tokenizer.json': encode('{}'),
  'm/generation_config.json': encode('{}'),
  'm/onnx/model_quantized.onnx': graph,
}
const paths = Object.keys(files)
const dtypes = { dtypes: ['q4f16', 'q4', 'q8', 'fp32'], unsupported: [] } as const
let host: OddHost

beforeEach(async () => {
  // Without a file system, as in a page that is not secure: the store is in memory.
  vi.stubGlobal('navigator', {})
  host = await startOddHost(files)
})
afterEach(() => {
  vi.unstubAllGlobals()
  return host.close()
})

type Location = Exclude<ModelLocation, { kind: 'none' }>

const open = (location: Location) =>
  openModelFolder(
    location,
    { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
    { onProgress: collectProgress(() => {}), signal: new AbortController().signal },
  )

/** Reads what `onnx()` reads: required and optional small files, and the first variant of the weights that exists. */
async function load(folder: OpenModelFolder) {
  const [config, , , template, weights] = await Promise.all([
    folder.readJson('config.json'),
    folder.readJson('tokenizer.json'),
    folder.readJson('generation_config.json'),
    folder.readText('chat_template.jinja'),
    readModelWeights(folder, dtypes, () => {}),
  ])
  return { config, template, dtype: weights.dtype, bytes: weights.graph.length }
}

const folderOf = (rest: Partial<Location> = {}) =>
  ({ kind: 'folder', url: `${host.url}m/`, ...rest }) as Location
const hubOf = (name: string): Location => ({
  kind: 'hub',
  url: `${host.url}${name}/resolve/main/`,
  name,
  listingUrl: `${host.url}api/models/${name}/tree/main?recursive=true`,
  isCommit: false,
})
const loaded = { config: { filler: 'x'.repeat(5000) }, template: undefined, dtype: 'q8', bytes: graph.length }

/** Every file was sent at most once. */
function expectNothingTwice(): void {
  for (const path of paths)
    expect(host.requests.filter((request) => request === `GET ${path}`)).toHaveLength(1)
}

describe('a host that answers for a missing file', () => {
  it.each([[404], [403], [400], [401], [405], [410]])('with status %i', async (status) => {
    host.missing = { status }
    expect(await load(await open(folderOf()))).toEqual(loaded)
    expectNothingTwice()
  })

  it('with a web page', async () => {
    host.missing = 'page'
    expect(await load(await open(folderOf()))).toEqual(loaded)
    expectNothingTwice()
  })

  it('with an answer that other origins may not read', async () => {
    host.missing = 'no CORS'
    const startMs = performance.now()
    expect(await load(await open(folderOf()))).toEqual(loaded)
    expectNothingTwice()
    expect(performance.now() - startMs).toBeLessThan(4000)
  })
})

describe('a refusal', () => {
  it('of every file is an error that says how to authorize', async () => {
    host.signature = '?never'
    const folder = await open(folderOf())
    await expect(load(folder)).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringMatching(
        /answered 403 Forbidden\. For a private model, set the Authorization header/,
      ),
    })
  })

  it('of the weights is part of the error about them', async () => {
    host.files.delete('m/onnx/model_quantized.onnx')
    host.missing = { status: 403 }
    const folder = await open(folderOf())
    const error = await load(folder).catch((thrown: unknown) => thrown)
    expect(await folder.explainMissing(error as never)).toMatchObject({
      code: 'model-not-found',
      message: expect.stringMatching(/has none of the files .* answered 403/),
    })
  })

  it('in the middle of a download is an error: the file exists, and its stored part is kept', async () => {
    // Two segments. The signature expires after the first one.
    host.files.set('m/onnx/model_quantized.onnx', new Uint8Array(17 * 2 ** 20))
    host.answerFirst = ({ headers: { range } }, response) => {
      if (!range?.startsWith('bytes=16777216-')) return false
      response.writeHead(403).end()
      return true
    }
    const folder = await open(folderOf())
    await folder.readJson('config.json')
    const path = 'onnx/model_quantized.onnx'
    await expect(folder.openFile(path)).rejects.toMatchObject({ code: 'download-failed' })
    host.answerFirst = undefined
    host.forget()
    expect((await folder.openFile(path))?.byteLength).toBe(17 * 2 ** 20)
    expect(host.sentBytes.get(`m/${path}`)).toBe(2 ** 20)
  })

  it('never shows the signature of an address', async () => {
    host.signature = '?signature=secret-2'
    await expect(load(await open(folderOf({ query: '?signature=secret-1' })))).rejects.toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    )
  })
})

describe('files that are stored compressed', () => {
  it.each([[false], [true]])('are read; without a length: %s', async (isChunked) => {
    Object.assign(host, { isStoredCompressed: true, isChunked })
    expect(await load(await open(folderOf()))).toEqual(loaded)
    for (const path of paths.filter((each) => each.endsWith('.json'))) {
      expect(host.requests.filter((request) => request === `GET ${path}`)).toHaveLength(1)
    }
  })
})

describe('a small file', () => {
  it('is requested without a range', async () => {
    const ranges: (string | undefined)[] = []
    host.answerFirst = ({ headers, url }) => {
      if (url?.endsWith('.json')) ranges.push(headers.range)
      return false
    }
    await load(await open(folderOf()))
    expect(ranges).toEqual([undefined, undefined, undefined])
  })

  it('that is cut is requested again', async () => {
    let answers = 0
    host.answerFirst = ({ url }, response) => {
      if (url !== '/m/config.json' || (answers += 1) > 1) return false
      response.useChunkedEncodingByDefault = false
      response.writeHead(200, { connection: 'close' }).end(files['m/config.json'].subarray(0, 100))
      return true
    }
    expect(await load(await open(folderOf()))).toEqual(loaded)
    expect(answers).toBe(2)
  })
})

describe('a signed address', () => {
  it('of a folder signs the request for each file', async () => {
    host.signature = '?X-Amz-Signature=1'
    expect(await load(await open(folderOf({ query: '?X-Amz-Signature=1' })))).toEqual(loaded)
    expectNothingTwice()
  })

  it('of a split GGUF file signs the request for each part', async () => {
    host.files.set('m/a-00001-of-00002.gguf', encode('one')).set('m/a-00002-of-00002.gguf', encode('two'))
    host.signature = '?sig=1'
    const folder = await open(folderOf({ file: 'a-00001-of-00002.gguf', query: '?sig=1' }))
    expect(await folder.readText('a-00001-of-00002.gguf')).toBe('one')
    expect(await folder.readText('a-00002-of-00002.gguf')).toBe('two')
  })
})

describe('a list of the files', () => {
  it.each([
    ['paths', paths.map((path) => path.slice(2))],
    ['paths from `find`', paths.map((path) => `.${path.slice(1)}`)],
    [
      "a hub's entries",
      Object.entries(files).map(([path, { length }]) => ({
        type: 'file',
        path: path.slice(2),
        size: length,
        oid: path,
      })),
    ],
  ])('as %s saves every request for a missing file', async (_, list) => {
    host.files.set('m/files.json', encode(JSON.stringify(list)))
    expect(await load(await open(folderOf({ listingUrl: `${host.url}m/files.json` })))).toEqual(loaded)
    expect(host.requests.toSorted()).toEqual(
      [...paths, 'm/files.json'].map((path) => `GET ${path}`).toSorted(),
    )
    expect([...host.sentBytes.keys()].toSorted()).toEqual([...paths, 'm/files.json'].toSorted())
  })

  it('that does not exist is ignored', async () => {
    expect(await load(await open(folderOf({ listingUrl: `${host.url}m/files.json` })))).toEqual(loaded)
  })
})

describe('a hub', () => {
  /** Serves the model as `owner/name`, with a listing of one entry per page. */
  function serveHub(): void {
    const entries = Object.entries(files).map(([path, bytes]) => {
      host.files.set(`owner/name/resolve/main/${path.slice(2)}`, bytes)
      return { type: 'file', path: path.slice(2), size: bytes.length, oid: path }
    })
    host.answerFirst = ({ url }, response) => {
      const { pathname, searchParams } = new URL(url!, host.url)
      if (pathname !== '/api/models/owner/name/tree/main') return false
      const page = Number(searchParams.get('cursor') ?? 0)
      const next = `<${host.url}api/models/owner/name/tree/main?recursive=true&cursor=${page + 1}>; rel="next"`
      const isLast = page === entries.length - 1
      response.writeHead(200, { 'content-type': 'application/json', ...(!isLast && { link: next }) })
      response.end(JSON.stringify([entries[page]]))
      return true
    }
  }

  it('whose listing has several pages sends no request for a missing file', async () => {
    serveHub()
    expect(await load(await open(hubOf('owner/name')))).toEqual(loaded)
    const listing = host.requests.filter((request) => request.includes('/tree/'))
    expect(listing).toHaveLength(paths.length)
    expect(host.requests.filter((request) => /chat_template|q4/.test(request))).toEqual([])
  })

  it('whose next page is on another origin is read without its listing, and that origin gets no request', async () => {
    serveHub()
    const other = await startOddHost({})
    const { answerFirst } = host
    host.answerFirst = (request, response) => {
      if (!request.url?.includes('/tree/')) return answerFirst!(request, response)
      response.writeHead(200, { link: `<${other.url}next>; rel="next"` }).end('[]')
      return true
    }
    expect(await load(await open(hubOf('owner/name')))).toEqual(loaded)
    expect(other.requests).toEqual([])
    await other.close()
  })

  it.each<[string, OddHost['missing']]>([
    ['401', { status: 401 }],
    ['404', { status: 404 }],
    ['an answer that this page may not read', 'no CORS'],
  ])('without the model, with %s, says how a folder on the own server is written', async (_, missing) => {
    host.missing = missing
    host.answerFirst = ({ url }, response) => {
      if (!url?.startsWith('/api/')) return false
      response.writeHead(401).end('{"error":"Invalid username or password."}')
      return true
    }
    const startMs = performance.now()
    const folder = await open(hubOf('models/my-finetune'))
    const thrown = await load(folder).then(undefined, (error: RivuletError) => error)
    const isMissing = thrown instanceof RivuletError && thrown.code === 'model-not-found'
    const error = isMissing ? await folder.explainMissing(thrown) : thrown
    expect(error).toMatchObject({
      name: 'RivuletError',
      message: expect.stringContaining('For a folder on your server, write "./models/my-finetune".'),
    })
    expect(performance.now() - startMs).toBeLessThan(1500)
  })
})
