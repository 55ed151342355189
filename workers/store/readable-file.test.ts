import { afterEach, describe, expect, it, vi } from 'vitest'
import { joinParts, openBlob, openBytes, readSlices, readWhole } from './readable-file.js'

const content = Uint8Array.from({ length: 10 }, (_, index) => index)
const bytes = (...values: number[]) => Uint8Array.from(values)
const ended = expect.objectContaining({ name: 'NotReadableError' })

afterEach(() => {
  vi.unstubAllGlobals()
})

/** Stands in for a blob and for `FileReaderSync`, which Node lacks. Lists the sizes of the reads. */
function stubBlob(file: Uint8Array<ArrayBuffer>) {
  const reads: number[] = []
  const state = { isChanged: false }
  const slice = (start = 0, end = file.length): { content: Uint8Array<ArrayBuffer> } => ({
    content: file.slice(start, end),
  })
  vi.stubGlobal(
    'FileReaderSync',
    class {
      readAsArrayBuffer(blob: ReturnType<typeof slice>): ArrayBuffer {
        if (state.isChanged) throw new DOMException('The file was changed.', 'NotReadableError')
        reads.push(blob.content.length)
        return blob.content.buffer
      }
    },
  )
  return { blob: { size: file.length, slice } as unknown as Blob, reads, state }
}

describe('a file in parts', () => {
  const file = joinParts([[0, 1, 2], [], [3, 4, 5, 6], [7, 8, 9]].map((part) => openBytes(bytes(...part))))

  it('is read at any position, across the ends of parts', () => {
    expect(file.byteLength).toBe(10)
    for (let at = 0; at <= 10; at += 1) {
      for (let end = at; end <= 10; end += 1) {
        const target = new Uint8Array(end - at)
        file.readInto(target, at)
        expect(target).toEqual(content.slice(at, end))
      }
    }
    expect(readWhole(file)).toEqual(content)
  })

  it.each([[10], [8], [100]])('has no bytes after its end: 3 at %i', (at) => {
    expect(() => file.readInto(new Uint8Array(3), at)).toThrow(ended)
  })
})

describe('a blob', () => {
  it('is read in pieces: small reads that follow each other need one', async () => {
    const large = Uint8Array.from({ length: 5 * 2 ** 20 }, (_, index) => index % 251)
    const { blob, reads } = stubBlob(large)
    const file = await openBlob(blob)
    const target = new Uint8Array(1000)
    for (let at = 0; at < 100_000; at += 1000) {
      file.readInto(target, at)
      expect(target).toEqual(large.subarray(at, at + 1000))
    }
    expect(reads).toEqual([2 ** 22])
    file.readInto(target, 2 ** 22 - 500)
    expect(target).toEqual(large.subarray(2 ** 22 - 500, 2 ** 22 + 500))
    expect(Buffer.compare(readWhole(file), large)).toBe(0)
    expect(() => file.readInto(target, large.length - 999)).toThrow(ended)
  })

  it('that has changed fails, and gives no bytes of an earlier read', async () => {
    const { blob, state } = stubBlob(new Uint8Array(5 * 2 ** 20))
    const file = await openBlob(blob)
    file.readInto(new Uint8Array(10), 0)
    state.isChanged = true
    expect(() => file.readInto(new Uint8Array(10), 2 ** 22)).toThrow(ended)
    expect(() => file.readInto(new Uint8Array(10), 0)).toThrow(ended)
  })

  it('is read into memory without FileReaderSync', async () => {
    expect(readWhole(await openBlob(new Blob([content])))).toEqual(content)
    expect(readWhole(await openBlob(new Blob([])))).toEqual(new Uint8Array())
  })

  it('that is too large for one read is read in slices', async () => {
    // Stands in for a file of gigabytes.
    const file = new Blob([content])
    const reads: number[] = []
    const slice = (start = 0, end = file.size) => {
      const part = file.slice(start, end)
      reads.push(part.size)
      return part
    }
    expect(await readSlices({ size: file.size, slice }, 4)).toEqual(content)
    expect(reads).toEqual([4, 4, 2])
  })
})
