import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { findChatTemplate } from '../text/find-chat-template.js'
import { countCacheBytes } from './cache-size.js'
import { readControlTokens } from './control-tokens.js'
import { readGgufHeader, type GgufHeader } from './gguf-header.js'
import { writeGguf } from './write-gguf.test-support.js'

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
      cacheSize: { bytesPerToken: 6 * 2 * 64 * 2, windowBytesPerToken: 0, windowTokens: 0 },
      controlTokens: ['<|endoftext|>', '<|user|>', '<|assistant|>', '<|end|>'],
      controlTokenIds: new Map([
        ['<|endoftext|>', 0],
        ['<|user|>', 1],
        ['<|assistant|>', 2],
        ['<|end|>', 3],
      ]),
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

describe('the tokens of a GGUF file', () => {
  const tokens = ['<unk>', '<s>', '</s>', 'a', '<b>', '▁▁▁', '<|user|>', '<|done|>']
  const types = [2, 3, 3, 1, 4, 4, 4, 4]
  const vocabulary = {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
  }
  const template =
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}{{ m.content }}<|done|>{% endif %}{% endfor %}"
  const read = (metadata: Parameters<typeof writeGguf>[0]) =>
    readGgufHeader(writeGguf({ 'general.architecture': 'llama', ...vocabulary, ...metadata }))
  const list = (header: GgufHeader, endTokens: readonly string[] = [], option?: string) => {
    const chatTemplate = findChatTemplate(header.chatTemplates, option, {})
    const { forbidden: _, ...listed } = readControlTokens(header, chatTemplate, endTokens)
    return listed
  }

  it('are control tokens by their type: user-defined ones such as <b> and ▁▁▁ are text', async () => {
    const header = await read({})
    expect(header).toMatchObject({
      controlTokens: ['<unk>', '<s>', '</s>'],
      userTokens: ['<b>', '▁▁▁', '<|user|>', '<|done|>'],
    })
    expect(list(header)).toEqual({ all: ['<unk>', '<s>', '</s>'], end: [] })
  })

  it('are control tokens if the chat template writes them around messages, and the one after an answer ends it', async () => {
    const header = await read({ 'tokenizer.chat_template': template })
    const expected = { all: ['<unk>', '<s>', '</s>', '<|user|>', '<|done|>'], end: ['<|done|>'] }
    expect(list(header)).toEqual(expected)
    // The template can also come from the option `chatTemplate`.
    expect(list(await read({}), [], template)).toEqual(expected)
  })

  it('can be named by endTokens, if they exist', async () => {
    const header = await read({})
    expect(list(header, ['<b>'])).toMatchObject({ end: ['<b>'] })
    expect(() => list(header, ['<c>'])).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option: 'endTokens' } }),
    )
  })

  it('begin and end with 1 and 2 in a SentencePiece vocabulary that names none', async () => {
    expect(await read({})).toMatchObject({ beginToken: '<s>', endToken: '</s>' })
    const named = { 'tokenizer.ggml.bos_token_id': 6, 'tokenizer.ggml.eos_token_id': 7 }
    expect(await read(named)).toMatchObject({ beginToken: '<|user|>', endToken: '<|done|>' })
  })

  // The defaults of llama_vocab::impl::load in llama.cpp.
  it.each([
    ['llama', undefined, undefined, true],
    ['llama', undefined, false, false],
    ['gpt2', 'llama-bpe', undefined, true],
    ['gpt2', 'llama-bpe', false, false],
    ['gpt2', 'tekken', undefined, true],
    ['gpt2', 'qwen2', undefined, false],
    ['gpt2', undefined, undefined, false],
    ['gpt2', 'qwen2', true, true],
    ['gemma4', undefined, false, true],
    ['t5', undefined, undefined, false],
    ['rwkv', undefined, undefined, false],
  ])(
    '%s with the pre-tokenizer %s and add_bos_token %s: a begin token is added: %s',
    async (model, pre, add, expected) => {
      const header = await read({
        'tokenizer.ggml.model': model,
        ...(pre !== undefined && { 'tokenizer.ggml.pre': pre }),
        ...(add !== undefined && { 'tokenizer.ggml.add_bos_token': add }),
      })
      expect(header.addsBeginToken).toBe(expected)
    },
  )
})

describe('the KV cache of a GGUF file', () => {
  const measure = async (architecture: string, metadata: Record<string, number | readonly number[]>) => {
    const named = Object.entries(metadata).map(([name, value]) => [`${architecture}.${name}`, value])
    const file = writeGguf({ 'general.architecture': architecture, ...Object.fromEntries(named) })
    return (await readGgufHeader(file)).cacheSize
  }
  const layers = { block_count: 4, embedding_length: 256, 'attention.head_count': 4 }

  it('has the heads of each layer, where they differ', async () => {
    const kvHeads = { 'attention.head_count_kv': [1, 0, 0, 2] }
    expect(await measure('lfm2', { ...layers, ...kvHeads })).toEqual({
      bytesPerToken: 3 * 2 * 64 * 2,
      windowBytesPerToken: 0,
      windowTokens: 0,
    })
  })

  it('keeps only a window in some layers', async () => {
    const window = { ...layers, 'attention.head_count_kv': 1, 'attention.sliding_window': 512 }
    const layerBytes = 2 * 64 * 2
    expect(await measure('gemma2', window)).toEqual({
      bytesPerToken: 2 * layerBytes,
      windowBytesPerToken: 2 * layerBytes,
      windowTokens: 512,
    })
    const pattern = { 'attention.sliding_window_pattern': [1, 1, 1, 0] }
    expect(await measure('any', { ...window, ...pattern })).toMatchObject({
      bytesPerToken: layerBytes,
      windowBytesPerToken: 3 * layerBytes,
    })
    expect(await measure('phi3', window)).toMatchObject({ bytesPerToken: 4 * layerBytes })
  })

  it('has no layers that share the caches of others', async () => {
    expect(await measure('gemma3n', { ...layers, 'attention.shared_kv_layers': 3 })).toMatchObject({
      bytesPerToken: 4 * 2 * 64 * 2,
    })
  })

  it('counts the tokens of a window once it is full', () => {
    const size = { bytesPerToken: 10, windowBytesPerToken: 100, windowTokens: 512 }
    expect(countCacheBytes(size, 100)).toBe(100 * 110)
    expect(countCacheBytes(size, 10_000)).toBe(10_000 * 10 + 768 * 100)
  })
})
