// With the real grammar engine. Its vocabulary has a token for each byte, and control tokens.
import { beforeAll, describe, expect, it } from 'vitest'
import type { FormMatcher, GrammarEngine } from './grammar-engine.js'
import { loadXgrammar } from './load-xgrammar.test-support.js'
import { createMarkCodes } from './mark-codes.js'
import type { TagFormat } from './tag-format.js'
import { createXgrammarEngine } from './xgrammar-engine.js'

const call = { open: '<tool_call>', close: '</tool_call>' }
const [openId, closeId, endId] = [256, 257, 258]
const controls = new Map([
  [call.open, openId],
  [call.close, closeId],
])
const codes = createMarkCodes([call.open, call.close, '<plain>'], {
  findId: (text) => controls.get(text),
  readControlText: (id) => [...controls].find(([, known]) => known === id)?.[0],
})
const bytesOf = (text: string) => Array.from(new TextEncoder().encode(text))

let engine: GrammarEngine
beforeAll(async () => {
  const tokens: number[][] = Array.from({ length: 256 }, (_, byte) => [byte])
  for (const [id, character] of codes.characters) tokens[id] = bytesOf(character)
  tokens[endId] = bytesOf('end')
  engine = await createXgrammarEngine(await loadXgrammar(), {
    tokens,
    endIds: new Set([endId]),
    hasMarks: true,
  })
})

const open = async (form: TagFormat): Promise<FormMatcher> =>
  (await engine.compile(codes.encodeForm(form), 'tools')).createMatcher()

const canFollow = async (matcher: FormMatcher, id: number) => {
  const mask = await matcher.computeMask()
  return ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1
}
const accept = (matcher: FormMatcher, text: string) => bytesOf(text).every((byte) => matcher.accept(byte))

describe('a control token in a form', () => {
  const text: TagFormat = { type: 'json_schema', json_schema: { type: 'string' } }
  const tagged: TagFormat = { type: 'tag', begin: call.open, content: text, end: call.close }

  it('is the token, and not its text; a value can contain its text, and not the token', async () => {
    const matcher = await open(tagged)
    expect(await canFollow(matcher, openId)).toBe(true)
    expect(await canFollow(matcher, bytesOf('<')[0]!)).toBe(false)
    expect(codes.split(matcher.findForcedText())[0]).toBe(openId)
    expect(matcher.accept(openId)).toBe(true)
    expect(accept(matcher, `"${call.open} ${call.close}`)).toBe(true)
    for (const id of [openId, closeId, endId]) expect(await canFollow(matcher, id)).toBe(false)
    expect(accept(matcher, '"')).toBe(true)
    expect(codes.split(matcher.findForcedText())).toEqual([closeId])
    expect(matcher.accept(closeId)).toBe(true)
    expect(await canFollow(matcher, endId)).toBe(true)
  })

  it('can follow free text that triggers it', async () => {
    const matcher = await open({
      type: 'triggered_tags',
      triggers: [call.open],
      tags: [{ type: 'tag', begin: call.open, content: text, end: call.close }],
    })
    expect(accept(matcher, `Text with ${call.open} in it. `)).toBe(true)
    expect(matcher.accept(openId)).toBe(true)
    expect(matcher.findForcedText()).toBe('"')
  })

  it.each<TagFormat>([
    { type: 'regex', pattern: '[^a]+' },
    { type: 'grammar', grammar: 'root ::= [^a]+' },
    { type: 'json_schema', json_schema: { enum: [`${call.open}`] } },
  ])('is never a part of a value: %j', async (content) => {
    const matcher = await open({ type: 'tag', begin: 'x', content, end: 'y' })
    expect(accept(matcher, 'x')).toBe(true)
    expect(await canFollow(matcher, openId)).toBe(false)
  })

  it('is read in the parts of a template only', () => {
    const parts = [
      { text: `${call.open}\n`, isContent: false },
      { text: call.close, isContent: true },
    ]
    expect(codes.split(codes.encodeParts(parts))).toEqual([openId, `\n${call.close}`])
    expect(codes.split(codes.encodeParts([{ text: '<plain>', isContent: false }]))).toEqual(['<plain>'])
  })
})
