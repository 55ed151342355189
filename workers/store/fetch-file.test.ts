import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { fetchFile } from './fetch-file.js'

const content = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251)
const closers: (() => void)[] = []

afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** The URL of a file behind a real server. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, resolve))
  closers.push(() => server.close())
  return `http://localhost:${(server.address() as AddressInfo).port}/file`
}

const { signal } = new AbortController()

describe('a file is fetched whole', () => {
  const answers: Record<string, RequestListener> = {
    'of a known length': (_, response) => {
      response.writeHead(200, { 'content-length': content.length }).end(content)
    },
    'of no known length': (_, response) => {
      for (let start = 0; start < content.length; start += 70_001) {
        response.write(content.subarray(start, start + 70_001))
      }
      response.end()
    },
    'whose length is that of an encoding': (_, response) => {
      const encoded = gzipSync(content)
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': encoded.length }).end(encoded)
    },
  }
  for (const [name, listener] of Object.entries(answers)) {
    it(name, async () => {
      const seen: number[] = []
      const url = await serve(listener)
      const bytes = await fetchFile(url, { signal, onBytes: (loaded) => seen.push(loaded) })
      expect(bytes).toEqual(content)
      expect(bytes?.buffer.byteLength).toBe(content.length)
      expect(seen[0]).toBe(0)
      expect(seen.at(-1)).toBe(content.length)
    })
  }
})

describe('a file that does not come whole', () => {
  it('is refused where the connection closes early', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 1000), () => response.destroy())
    })
    await expect(fetchFile(url, { signal })).rejects.toMatchObject({ code: 'download-failed' })
  })

  it('is refused where no memory holds the length that the server names', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 2 ** 52 })
      response.write('short')
    })
    const error = fetchFile(url, { signal })
    await expect(error).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringMatching('no memory'),
    })
  })

  it('is not there where the server says so, or answers with a page', async () => {
    const missing = await serve((_, response) => void response.writeHead(404).end())
    expect(await fetchFile(missing, { signal })).toBeUndefined()
    const page = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html>')
    })
    expect(await fetchFile(page, { signal })).toBeUndefined()
  })

  it('ends with the reason of its signal', async () => {
    const abort = new AbortController()
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 1000))
    })
    const fetching = fetchFile(url, {
      signal: abort.signal,
      onBytes: (loaded) => loaded > 0 && abort.abort(new Error('left')),
    })
    await expect(fetching).rejects.toThrow('left')
  })
})
