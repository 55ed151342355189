import { expect, it } from 'vitest'
import { readWholeBlob } from './read-whole-blob.js'

it('a file that is too large for one read is read in slices', async () => {
  const content = Uint8Array.from({ length: 10 }, (_, index) => index)
  // Stands in for a file of gigabytes.
  const file = new Blob([content])
  const reads: number[] = []
  const slice = (start = 0, end = file.size) => {
    const part = file.slice(start, end)
    reads.push(part.size)
    return part
  }
  expect(await readWholeBlob({ size: file.size, slice }, 4)).toEqual(content)
  expect(reads).toEqual([4, 4, 2])
})

it('an empty file has no bytes', async () => {
  expect(await readWholeBlob(new Blob([]))).toEqual(new Uint8Array())
})
