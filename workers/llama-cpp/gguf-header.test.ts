import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readGgufHeader } from './gguf-header.js'

const stories = readFileSync(new URL('../../demo/public/models/stories.gguf', import.meta.url))
const asFile = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>])

/** Finds the end of the metadata with the reader: files that end earlier are refused. */
async function findEnd(): Promise<number> {
  let [low, high] = [0, stories.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const isWhole = await readGgufHeader(asFile(stories.subarray(0, middle))).then(
      () => true,
      () => false,
    )
    if (isWhole) high = middle
    else low = middle + 1
  }
  return low
}

describe('a GGUF file', () => {
  it('contains its context length, chat template and control tokens (the embedded model)', async () => {
    const header = await readGgufHeader(asFile(stories))
    expect(header).toMatchObject({
      architecture: 'llama',
      contextLength: 512,
      // 6 layers × keys and values × 2 heads of 32 numbers × 2 bytes.
      cacheBytesPerToken: 6 * 2 * 64 * 2,
      controlTokens: ['<|endoftext|>', '<|user|>', '<|assistant|>', '<|end|>'],
      beginToken: '<|endoftext|>',
      endToken: '<|end|>',
      addsBeginToken: false,
    })
    expect(header.chatTemplates.get('default')).toContain('<|assistant|>')
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['a page', new TextEncoder().encode('<!doctype html><title>404</title>')],
    ['zeros', new Uint8Array(4096)],
    ['a bare mark', new TextEncoder().encode('GGUF')],
  ])('is not %s', async (_, bytes) => {
    await expect(readGgufHeader(asFile(bytes))).rejects.toMatchObject({ code: 'model-invalid' })
  })

  it('of an unsupported version is refused', async () => {
    const bytes = Uint8Array.from(stories.subarray(0, 64))
    bytes[4] = 1
    await expect(readGgufHeader(asFile(bytes))).rejects.toMatchObject({ code: 'model-unsupported' })
  })

  it('with incomplete metadata is refused, wherever it ends', async () => {
    const end = await findEnd()
    for (let length = 0; length < end; length += 997) {
      await expect(readGgufHeader(asFile(stories.subarray(0, length)))).rejects.toMatchObject({
        code: 'model-invalid',
      })
    }
  })

  it('with damaged metadata is read, or refused with a typed error', async () => {
    const end = await findEnd()
    for (let at = 4; at < Math.min(end, 3000); at += 1) {
      for (const value of [0, 0x7f, 0xff]) {
        const bytes = Uint8Array.from(stories.subarray(0, end))
        bytes[at] = value
        const outcome = await readGgufHeader(asFile(bytes)).catch((error: unknown) => error)
        if (outcome instanceof Error) expect(outcome).toMatchObject({ name: 'RivuletError' })
      }
    }
  })
})
