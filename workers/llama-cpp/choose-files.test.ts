import { describe, expect, it } from 'vitest'
import { chooseFiles } from './choose-files.js'

const url = 'https://models.example/a/'
/** Stands in for a folder; the files in `starts` start with other bytes than a GGUF file. */
const choose = (
  paths: readonly string[],
  named?: string,
  starts: Record<string, string> | undefined = undefined,
) =>
  chooseFiles(
    {
      url,
      list: () => Promise.resolve(paths),
      readBlob: (path) => Promise.resolve(new Blob([starts?.[path] ?? 'GGUF…'])),
    },
    named,
    starts !== undefined,
  )

describe('the files of a model', () => {
  it('are the named file', async () => {
    expect(await choose([], 'a.gguf')).toEqual(['a.gguf'])
  })

  it('are all parts of the named file', async () => {
    expect(await choose([], 'sub/a-00002-of-00003.gguf')).toEqual([
      'sub/a-00001-of-00003.gguf',
      'sub/a-00002-of-00003.gguf',
      'sub/a-00003-of-00003.gguf',
    ])
  })

  it.each([
    [['a-Q8_0.gguf', 'a-Q4_K_M.gguf', 'a-Q2_K.gguf', 'README.md'], ['a-Q4_K_M.gguf']],
    [['a.Q2_K.gguf', 'a.q4_0.gguf'], ['a.q4_0.gguf']],
    [['z.gguf', 'mmproj-model-Q4_K_M.gguf'], ['z.gguf']],
    [
      ['Q4_K_M/a-Q4_K_M-00002-of-00002.gguf', 'Q4_K_M/a-Q4_K_M-00001-of-00002.gguf'],
      ['Q4_K_M/a-Q4_K_M-00001-of-00002.gguf', 'Q4_K_M/a-Q4_K_M-00002-of-00002.gguf'],
    ],
  ])('of %j are %j if none is named', async (paths, chosen) => {
    expect(await choose(paths)).toEqual(chosen)
  })

  it('are found by their first bytes if the user’s files have other names', async () => {
    expect(await choose(['notes.txt', 'weights.bin'], undefined, { 'notes.txt': 'Hello' })).toEqual([
      'weights.bin',
    ])
    await expect(choose(['notes.txt'], undefined, { 'notes.txt': 'Hello' })).rejects.toMatchObject({
      code: 'model-not-found',
    })
  })

  it('of an ONNX folder are refused with the backend that runs it', async () => {
    await expect(choose(['config.json', 'onnx/model_q4.onnx'])).rejects.toThrow('use onnx()')
  })

  it('are reported as missing in a folder without them, and must be named if the folder cannot be listed', async () => {
    await expect(choose(['config.json'])).rejects.toMatchObject({ code: 'model-not-found' })
    await expect(choose([])).rejects.toMatchObject({ code: 'invalid-option' })
  })
})
