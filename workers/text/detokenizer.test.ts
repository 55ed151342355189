import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { drawUniform } from '../onnx/draw-uniform.test-support.js'
import { createDetokenizer } from './detokenizer.js'
import { createTokenizer, type Tokenizer } from './tokenizer.js'

function readModelJson(name: string): Record<string, unknown> {
  const folder = join(import.meta.dirname, '../../demo/public/models/stories')
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>
}

const tokenizer = createTokenizer(readModelJson('tokenizer.json'), readModelJson('tokenizer_config.json'))
const vocabularySize = 2048
/** The stories model's tokens for the 256 single bytes. They follow its four control tokens. */
const byteIds = Array.from({ length: 256 }, (_, index) => 4 + index)
/** The token of each byte. Byte-level BPE represents a byte by GPT-2's printable character for it. */
const idOfByte = buildByteTable()

function buildByteTable(): ReadonlyMap<number, number> {
  const model = readModelJson('tokenizer.json').model as { readonly vocab: Record<string, number> }
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
  const others = bytes.filter((byte) => !isPrintable(byte))
  return new Map(
    bytes.map((byte) => {
      const standIn = isPrintable(byte) ? byte : 256 + others.indexOf(byte)
      return [byte, model.vocab[String.fromCharCode(standIn)]!]
    }),
  )
}

const toByteIds = (bytes: Iterable<number>) => Array.from(bytes, (byte) => idOfByte.get(byte)!)
const encodeBytes = (text: string) => toByteIds(new TextEncoder().encode(text))
const encode = (text: string) => tokenizer.encode([{ text, isContent: true }])

/** Streams ids through a detokenizer. @returns one piece for each id, and the rest at the end */
function stream(
  ids: readonly number[],
  {
    promptIds = [],
    decoder = tokenizer,
  }: { promptIds?: readonly number[]; decoder?: Pick<Tokenizer, 'decode'> } = {},
) {
  const detokenizer = createDetokenizer(decoder, promptIds)
  const pieces = ids.map((id) => detokenizer.push(id))
  return [...pieces, detokenizer.flush()]
}

/** Returns integers from 0 up to `limit`, the same for the same seed. */
function drawIntegers(seed: number, length: number, limit: number): number[] {
  return Array.from({ length }, (_, position) => Math.floor(drawUniform(seed, position) * limit))
}

const texts: Record<string, string> = {
  English: 'Once upon a time, there was a little girl named Lily. She said, "Hello!"\n\nThe end.',
  umlauts: 'Grüße aus Österreich: süße Äpfel, ß, naïve façade',
  CJK: '日本語のテキスト、中文文本，한국어 텍스트',
  emoji: '👍🎉🚀😀😀😀 and text between 🐉',
  'emoji joined by ZWJ': '👩‍👩‍👧‍👦👨🏽‍🚀🏳️‍🌈❤️‍🔥',
  'combining marks': 'e\u0301 a\u0308 नमस्ते ก็',
  'characters of two, three and four bytes in a row': 'éé€€𝒳𝒳é€𝒳',
  'a genuine U+FFFD': 'a\uFFFDb\uFFFD\uFFFDc\uFFFD',
  'a byte order mark': '\uFEFFa\uFEFF\uFEFF',
}

describe('the pieces of a stream', () => {
  it.each(Object.entries(texts))('are together the whole text: %s', async (_, text) => {
    for (const ids of [await encode(text), encodeBytes(text)]) {
      expect(stream(ids).join('')).toBe(text)
      expect(tokenizer.decode(ids)).toBe(text)
    }
  })

  it.each(Object.entries(texts))('are together the text after a prompt: %s', async (_, text) => {
    const promptIds = await encode('Hallo, grüß dich 🐉!')
    expect(stream(await encode(text), { promptIds }).join('')).toBe(text)
  })

  it('contain no incomplete character: each character arrives with its last byte', () => {
    const text = 'aé€𝒳b'
    expect(stream(encodeBytes(text))).toEqual(['a', '', 'é', '', '', '€', '', '', '', '𝒳', 'b', ''])
  })

  it('arrive at once if a token ends one character and starts another', () => {
    // Stands in for a vocabulary with tokens across characters: each token is two bytes of an emoji.
    const emoji = '😀😁😂🤣😃😄'
    const bytes = new TextEncoder().encode(`.${emoji}`)
    const decoder = {
      decode: (ids: readonly number[]) =>
        decodeBytes(ids.flatMap((id) => Array.from(bytes.slice(id, id + 2)))),
    }
    const starts = Array.from({ length: Math.ceil(bytes.length / 2) }, (_, index) => index * 2)
    const pieces = stream(starts, { decoder })
    expect(pieces.join('')).toBe(`.${emoji}`)
    expect(pieces).toEqual(['.', '', '😀', '', '😁', '', '😂', '', '🤣', '', '😃', '', '😄', ''])
  })

  it('are together exactly the decoded text, for 2,000 tokens', async () => {
    const story = Object.values(texts).join('\n')
    const ids = (await encode(story.repeat(100))).slice(0, 2000)
    expect(ids).toHaveLength(2000)
    expect(stream(ids).join('')).toBe(tokenizer.decode(ids))
  })

  it('are together exactly the decoded text, for any bytes', () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const ids = drawIntegers(seed, 40, 256).map((index) => byteIds[index]!)
      expectWhole(ids, seed)
    }
  })

  it('are together exactly the decoded text, for bytes that are almost valid UTF-8', () => {
    // Lead bytes, continuation bytes, and bytes of forms that UTF-8 forbids: overlong, surrogates, above U+10FFFF.
    const bytes = [
      0x41, 0x80, 0x9f, 0xa0, 0xbf, 0xc1, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf0, 0xf4, 0xf5, 0xff,
    ]
    for (let seed = 0; seed < 1000; seed += 1) {
      expectWhole(toByteIds(drawIntegers(seed, 30, bytes.length).map((index) => bytes[index]!)), seed)
    }
  })

  it('are together exactly the decoded text, for any tokens, including control tokens', () => {
    for (let seed = 0; seed < 200; seed += 1) expectWhole(drawIntegers(seed, 60, vocabularySize), seed)
    // Half of these are control tokens, which have no text and can be inside a character.
    for (let seed = 0; seed < 200; seed += 1) {
      const bytes = encodeBytes('é€𝒳'.repeat(5))
      const marks = drawIntegers(seed, bytes.length, 8).map((count) => [0, 1, 2, 3, 0, 1, 2].slice(0, count))
      expectWhole(
        bytes.flatMap((id, index) => marks[index]!.toSpliced(0, 0, id)),
        seed,
      )
    }
  })

  function expectWhole(ids: readonly number[], seed: number): void {
    const pieces = stream(ids)
    const whole = tokenizer.decode(ids)
    expect(pieces.join(''), `seed ${seed}`).toBe(whole)
    const countReplacements = (text: string) => text.split('\uFFFD').length - 1
    expect(pieces.reduce((sum, piece) => sum + countReplacements(piece), 0)).toBe(countReplacements(whole))
  }
})

describe('held-back text', () => {
  it('is at most one U+FFFD, for at most three tokens', () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const ids = toByteIds(drawIntegers(seed, 40, 256))
      const detokenizer = createDetokenizer(tokenizer, [])
      let out = ''
      let silentTokens = 0
      for (const [index, id] of ids.entries()) {
        const piece = detokenizer.push(id)
        out += piece
        silentTokens = piece === '' ? silentTokens + 1 : 0
        expect(silentTokens).toBeLessThanOrEqual(3)
        const whole = tokenizer.decode(ids.slice(0, index + 1))
        expect([whole, whole.replace(/\uFFFD$/, '')]).toContain(out)
      }
    }
  })

  it('is returned once at the end', () => {
    const detokenizer = createDetokenizer(tokenizer, [])
    expect(
      encodeBytes('a€')
        .slice(0, 3)
        .map((id) => detokenizer.push(id)),
    ).toEqual(['a', '', ''])
    expect(detokenizer.flush()).toBe('\uFFFD')
    expect(detokenizer.flush()).toBe('')
  })
})

it('decodes only a short window for each token of a long text', () => {
  let longest = 0
  const decoder = {
    decode(ids: readonly number[]) {
      longest = Math.max(longest, ids.length)
      return tokenizer.decode(ids)
    },
  }
  stream(
    drawIntegers(1, 2000, vocabularySize - 4).map((id) => id + 4),
    { decoder },
  )
  stream([4, 5, 6], { decoder, promptIds: drawIntegers(2, 2000, vocabularySize) })
  // Bytes that no character contains give a text of only U+FFFD, which always ends in one.
  stream(
    Array.from({ length: 500 }, () => idOfByte.get(0xff)!),
    { decoder },
  )
  expect(longest).toBeLessThanOrEqual(10)
})

it('keeps the space that a decoder strips at the start of a text', () => {
  const pieces = ['▁Hello', '▁there', '▁again']
  const metaspace = createTokenizer(
    {
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
      added_tokens: [],
      model: { type: 'BPE', vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])), merges: [] },
    },
    {},
  )
  expect(stream([1, 2], { promptIds: [0], decoder: metaspace })).toEqual([' there', ' again', ''])
  expect(stream([0, 1, 2], { decoder: metaspace })).toEqual(['Hello', ' there', ' again', ''])
})

it('combines the byte tokens of a vocabulary with byte fallback', () => {
  const vocab = new Map(
    Array.from({ length: 256 }, (_, byte) => [
      `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
      byte,
    ]),
  )
  const fallback = createTokenizer(
    {
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
      added_tokens: [],
      model: {
        type: 'BPE',
        vocab: Object.fromEntries([...vocab, ['a', 256]]),
        merges: [],
        byte_fallback: true,
      },
    },
    {},
  )
  const bytes = [...new TextEncoder().encode('é€𝒳')]
  expect(stream([256, ...bytes, 256], { decoder: fallback }).join('')).toBe('aé€𝒳a')
  for (let seed = 0; seed < 300; seed += 1) {
    const ids = drawIntegers(seed, 40, 257)
    expect(stream(ids, { decoder: fallback }).join(''), `seed ${seed}`).toBe(fallback.decode(ids))
  }
})

function decodeBytes(bytes: readonly number[]): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))
}
