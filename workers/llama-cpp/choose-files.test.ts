import { describe, expect, it } from 'vitest'
import { chooseFiles } from './choose-files.js'

const url = 'https://models.example/a/'
const choose = (paths: readonly string[], named?: string) =>
  chooseFiles({ url, list: () => Promise.resolve(paths) }, named)

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

  it('are reported as missing in a folder without them, and must be named if the folder cannot be listed', async () => {
    await expect(choose(['config.json'])).rejects.toMatchObject({ code: 'model-not-found' })
    await expect(choose([])).rejects.toMatchObject({ code: 'invalid-option' })
  })
})
