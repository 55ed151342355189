import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createFakeFileSystem, type FakeFileSystem } from '../store/opfs.test-support.js'
import { joinShaders, nameShaders, readShaders, writeShaders } from './shader-records.js'

let system: FakeFileSystem
beforeEach(() => {
  system = createFakeFileSystem()
  vi.stubGlobal('isSecureContext', true)
  vi.stubGlobal('navigator', {
    userAgent: 'test',
    storage: { getDirectory: () => Promise.resolve(system.root) },
  })
})
afterEach(() => vi.unstubAllGlobals())

const [one, two, three] = ['one', 'two', 'three'].map((code) => ({
  code,
  entryPoint: 'main',
  constants: { size: 1 },
  groups: [[{ binding: 0, visibility: 4, buffer: { type: 'storage' as const } }]],
}))

it('the shaders of a model are read as they were written', async () => {
  const key = (await nameShaders(['model', 'webgpu']))!
  expect(await readShaders(key)).toEqual([])
  await writeShaders(key, [one!, two!])
  await writeShaders(key, [three!])
  expect(await readShaders(key)).toEqual([three])
  expect(await readShaders((await nameShaders(['other', 'webgpu']))!)).toEqual([])
})

it('shaders that cannot be stored or read are compiled when they are needed', async () => {
  system.fault = 'failing write'
  await writeShaders('key', [one!])
  expect(await readShaders('key')).toEqual([])
})

it('the shaders of the newest load come first', () => {
  expect(joinShaders([two!, three!], [one!, two!])).toEqual([two, three, one])
})
