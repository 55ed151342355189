// Compares with the ids of Python's `tokenizers`, which `e2e/models/reference_tokenizers.py` wrote.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createTokenizer } from './tokenizer.js'

interface Reference {
  readonly tokenizer: { readonly added_tokens: readonly { readonly id: number; readonly special: boolean }[] }
  /** The ids of each text as a part of the template. */
  readonly ids: readonly (readonly number[])[]
  /** The ids of those texts that have other ids as content, by the text's index. */
  readonly contentIds: Readonly<Record<number, readonly number[]>>
}

const folder = join(import.meta.dirname, '../../e2e/models/tokenizers')
const read = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'))
const texts = read('texts.json') as readonly string[]
const names = readdirSync(folder)
  .map((file) => file.replace('.json', ''))
  .filter((name) => name !== 'texts')

describe.each(names)('a tokenizer like that of %s', (name) => {
  const { tokenizer: json, ids, contentIds } = read(`${name}.json`) as Reference
  const tokenizer = createTokenizer(json, {})

  it.each(texts.map((text, index) => [text, index] as const))(
    'encodes %j like Python',
    async (text, index) => {
      expect(await tokenizer.encode([{ text, isContent: false }])).toEqual(ids[index])
      expect(await tokenizer.encode([{ text, isContent: true }])).toEqual(contentIds[index] ?? ids[index])
    },
  )

  it('makes no control token of content', async () => {
    const special = new Set(json.added_tokens.filter((token) => token.special).map(({ id }) => id))
    const unknown = 'model' in json && (json.model as { unk_token?: string; unk_id?: number })
    const allowed = unknown && (unknown.unk_id ?? tokenizer.findId(unknown.unk_token ?? ''))
    const encoded = await tokenizer.encode([{ text: texts.join('\n'), isContent: true }])
    expect(encoded.filter((id) => special.has(id) && id !== allowed)).toEqual([])
  })

  // A piece of a text may cross the boundary of template and content: the boundary must not change its tokens.
  it('encodes a text that is split into template and content as one text', async () => {
    const plain = texts.filter((_, index) => contentIds[index] === undefined)
    for (const text of plain) {
      const whole = await tokenizer.encode([{ text, isContent: true }])
      for (const at of [1, Math.floor(text.length / 2)]) {
        const parts = [
          { text: text.slice(0, at), isContent: true },
          { text: text.slice(at), isContent: true },
        ]
        if (!/\p{Surrogate}/u.test(`${parts[0]!.text} ${parts[1]!.text}`))
          expect(await tokenizer.encode(parts)).toEqual(whole)
      }
    }
  })
})

describe('Gemma’s tokens that look like control tokens', () => {
  const { tokenizer: json } = read('gemma.json') as Reference
  const tokenizer = createTokenizer(json, {})
  const encode = (text: string) => tokenizer.encode([{ text, isContent: true }])

  it('are text: runs of white space', async () => {
    expect(await encode(`${' '.repeat(80)}x`)).toHaveLength(6)
    expect(await encode('▁▁▁')).toEqual([tokenizer.findId('▁▁▁')])
  })

  it('are text: HTML', async () => {
    const [open, close] = [tokenizer.findId('<b>'), tokenizer.findId('</b>')]
    expect(await encode('<b></b><h1>')).toEqual([open, close, tokenizer.findId('<h1>')])
  })
})

it.each(['gpt2', 'llama3', 'llama2', 'gemma'])(
  'a tokenizer like that of %s knows the bytes of tokens that are parts of a character',
  async (name) => {
    const tokenizer = createTokenizer((read(`${name}.json`) as Reference).tokenizer, {})
    const ids = await tokenizer.encode([{ text: '\u{1F999}', isContent: true }])
    expect(ids.flatMap((id) => tokenizer.readBytes(id) ?? [])).toEqual([0xf0, 0x9f, 0xa6, 0x99])
  },
)

describe('a text of 400,000 characters', { timeout: 120_000 }, () => {
  const like = (name: string) => createTokenizer((read(`${name}.json`) as Reference).tokenizer, {})
  const prose = 'The little dragon lived near the sea. It was very kind.\n'
  const length = 400_000

  // If the time grew with the square of the length, these would run into the time limit.
  it.each([
    ['llama2', prose],
    ['llama2', 'ab'],
    ['llama2', '☃'],
    ['mistral', '\u{1F600}'],
    ['gemma', ' '],
    ['gpt2', ' '],
    ['llama3', '你好'],
    ['xglm', '☃'],
    ['llm-jp', prose],
    ['t5', 'ab'],
  ])('of a tokenizer like %s, of %j, is encoded like its parts', async (name, piece) => {
    const tokenizer = like(name)
    const text = piece.repeat(length / piece.length)
    const ids = await tokenizer.encode([{ text, isContent: true }])
    const half = await tokenizer.encode([{ text: text.slice(0, text.length / 2), isContent: true }])
    const shared = half.slice(0, -32)
    expect(ids.slice(0, shared.length)).toEqual(shared)
  })

  it.each(['llama2', 'llm-jp'])('lets a tokenizer like %s be cancelled', async (name) => {
    const cancel = new AbortController()
    let turns = 0
    const timer = setInterval(() => {
      turns += 1
      if (turns === 3) cancel.abort(new Error('cancelled'))
    })
    try {
      const encoding = like(name).encode([{ text: 'ab'.repeat(length), isContent: true }], cancel.signal)
      await expect(encoding).rejects.toThrow('cancelled')
    } finally {
      clearInterval(timer)
    }
  })
})
