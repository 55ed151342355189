import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../../lib/contract/request.js'
import type { ModelFolder } from '../store/model-folder.js'
import { readModelConfig } from './model-config.js'

const stories = join(import.meta.dirname, '../../demo/public/models/stories')
const tokenizerJson = readFileSync(join(stories, 'tokenizer.json'), 'utf8')

/** Stands in for a folder on a server: its files are in memory, objects as JSON. */
function createMemoryFolder(files: Record<string, object | string>, requested: string[] = []): ModelFolder {
  const readText = async (path: string) => {
    requested.push(path)
    const file = files[path]
    return typeof file === 'object' ? JSON.stringify(file) : file
  }
  return {
    url: 'https://example.com/model/',
    has: (path) => Promise.resolve(path in files),
    openFile: () => Promise.reject(new Error('A configuration has no binary files.')),
    readText,
    async readJson(path) {
      const text = await readText(path)
      return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>)
    },
  }
}

/** Reads a folder with the required files and these ones. */
function read(
  files: Record<string, object | string> = {},
  options?: Parameters<typeof readModelConfig>[1],
  requested: string[] = [],
) {
  const required = { 'config.json': { max_position_embeddings: 512 }, 'tokenizer.json': tokenizerJson }
  return readModelConfig(createMemoryFolder({ ...required, ...files }, requested), options)
}

const refusal = (code: string, message: string) =>
  expect.objectContaining({ name: 'RivuletError', code, message: expect.stringContaining(message) })

it('the configuration of the embedded model is read from its files', async () => {
  const names = ['config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json']
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(stories, name), 'utf8')]))
  const question: ChatMessage = { role: 'user', content: 'Hi' }
  const { tokenizer: _, chatTemplate, ...config } = await readModelConfig(createMemoryFolder(files))
  expect(config).toEqual({
    contextLength: 512,
    cacheSizes: { heads: 2, headSize: 32 },
    endIds: new Set([0, 3]),
    sampling: { temperature: 0.7, topK: 40, topP: 1, minP: 0, repetitionPenalty: 1 },
    family: { kind: 'marked', thought: undefined, calls: undefined },
  })
  expect(chatTemplate?.render([question]).at(-1)?.text).toContain('<|assistant|>')
})

describe('a required file', () => {
  it.each(['config.json', 'tokenizer.json'])('is named in the error if it is missing: %s', async (name) => {
    const files = { 'config.json': { max_position_embeddings: 512 }, 'tokenizer.json': tokenizerJson }
    const others = Object.fromEntries(Object.entries(files).filter(([other]) => other !== name))
    await expect(readModelConfig(createMemoryFolder(others))).rejects.toEqual(
      refusal('model-not-found', name),
    )
  })

  it('is refused if it is invalid: tokenizer.json', async () => {
    await expect(read({ 'tokenizer.json': {} })).rejects.toEqual(refusal('model-invalid', 'tokenizer.json'))
  })
})

describe('the sizes of the KV cache', () => {
  it.each([
    [{ num_key_value_heads: 2, num_attention_heads: 6, head_dim: 32, hidden_size: 192 }, 2, 32],
    [{ num_attention_heads: 6, hidden_size: 192 }, 6, 32],
    [{ num_attention_heads: 5, hidden_size: 192 }, 5, undefined],
    [{ num_key_value_heads: 2, hidden_size: 192 }, 2, undefined],
    [{ num_key_value_heads: 0, head_dim: '32', hidden_size: -1 }, undefined, undefined],
  ])('are the valid ones of %j', async (sizes, heads, headSize) => {
    const config = { max_position_embeddings: 512, ...sizes }
    const { cacheSizes } = await read({ 'config.json': config })
    expect(cacheSizes).toEqual({ heads, headSize })
  })
})

describe('the context length', () => {
  it.each([0, 1, -512, 512.5, '512', [512], true])('is refused if it is %j', async (length) => {
    await expect(read({ 'config.json': { max_position_embeddings: length } })).rejects.toEqual(
      refusal('model-invalid', 'max_position_embeddings'),
    )
  })

  it.each([
    'max_position_embeddings',
    'n_positions',
    'n_ctx',
    'max_seq_len',
    'max_sequence_length',
    'seq_length',
    'context_length',
  ])('can have the name %s', async (name) => {
    await expect(read({ 'config.json': { [name]: 1024 } })).resolves.toMatchObject({ contextLength: 1024 })
    await expect(read({ 'config.json': { [name]: -1 } })).rejects.toEqual(refusal('model-invalid', name))
  })

  it('can be in the text_config of a multimodal model, or beside it', async () => {
    const config = {
      max_position_embeddings: 1,
      text_config: { max_position_embeddings: 2048, eos_token_id: 9 },
    }
    await expect(read({ 'config.json': config })).resolves.toMatchObject({ contextLength: 2048 })
    const beside = { max_position_embeddings: 4096, text_config: { hidden_size: 8 } }
    await expect(read({ 'config.json': beside })).resolves.toMatchObject({ contextLength: 4096 })
  })

  it.each([
    ["the tokenizer's, if config.json has none", { model_max_length: 8192 }, 8192],
    ["2,048, if the tokenizer's has no limit", { model_max_length: 1e30 }, 2048],
    ['2,048, if no file has one (BLOOM)', {}, 2048],
  ])('is %s', async (_, tokenizerConfig, expected) => {
    const files = {
      'config.json': { max_position_embeddings: null },
      'tokenizer_config.json': tokenizerConfig,
    }
    await expect(read(files)).resolves.toMatchObject({ contextLength: expected })
  })

  it('can be shortened by an option, and set if no file has one', async () => {
    await expect(read({}, { contextLength: 100 })).resolves.toMatchObject({ contextLength: 100 })
    await expect(read({}, { contextLength: 513 })).rejects.toEqual(refusal('invalid-option', '513'))
    await expect(read({ 'config.json': {} }, { contextLength: 4096 })).resolves.toMatchObject({
      contextLength: 4096,
    })
  })
})

// In the embedded model's vocabulary: 0 <|endoftext|>, 1 <|user|>, 2 <|assistant|>, 3 <|end|>; the others are text.
describe('the end-of-sequence tokens', () => {
  it.each([
    ['one id', 3, [3]],
    ['several ids', [0, 3], [0, 3]],
    ['the id 0', 0, [0]],
    ['no id', undefined, []],
    ['an empty list', [], []],
    ['null', null, []],
    ['a list with invalid ids', [3, -1, 1.5, '4', null], [3]],
  ])(
    'can be %s in config.json, in its text_config and in generation_config.json',
    async (_, id, expected) => {
      const context = { max_position_embeddings: 512 }
      const places: Record<string, object>[] = [
        { 'config.json': { ...context, eos_token_id: id } },
        { 'config.json': { ...context, text_config: { eos_token_id: id } } },
        { 'config.json': context, 'generation_config.json': { eos_token_id: id } },
      ]
      for (const files of places) {
        await expect(read(files)).resolves.toMatchObject({ endIds: new Set(expected) })
      }
    },
  )

  it('can be only a text in tokenizer_config.json', async () => {
    for (const eos of ['<|end|>', { content: '<|end|>' }]) {
      const files = {
        'tokenizer_config.json': { eos_token: eos },
        'generation_config.json': { eos_token_id: [] },
      }
      expect((await read(files)).endIds).toEqual(new Set([3]))
    }
    expect((await read({ 'tokenizer_config.json': { eos_token: '<|absent|>' } })).endIds).toEqual(new Set())
  })

  it('can be only the token that the chat template writes after an answer', async () => {
    const template =
      '{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}\n<|end|>\n{% endfor %}'
    const files = { 'tokenizer_config.json': { chat_template: template } }
    expect((await read(files)).endIds).toEqual(new Set([3]))
  })

  it.each([
    ['that has none', '{% for m in messages %}<|user|>{{ m.content }}\n{{ "next" }}{% endfor %}', []],
    ['that fails', "{{ raise_exception('no') }}", []],
    [
      // The harmony format of gpt-oss: an answer consists of several messages.
      'whose answers are in a channel',
      "{% for m in messages %}<|user|>{% if m.role == 'assistant' %}<|assistant|>{% endif %}{{ m.content }}<|end|>{% endfor %}" +
        '{% if add_generation_prompt %}<|user|>{% endif %}',
      [],
    ],
  ])('are no tokens of a template %s', async (_, template, expected) => {
    expect((await read({ 'tokenizer_config.json': { chat_template: template } })).endIds).toEqual(
      new Set(expected),
    )
  })

  it('come from all places, but a leftover in config.json that is text does not count', async () => {
    const endIds = async (config: object, generation: object) =>
      (
        await read({
          'config.json': { max_position_embeddings: 512, ...config },
          'generation_config.json': generation,
        })
      ).endIds
    expect(await endIds({ eos_token_id: 9 }, { eos_token_id: [5, 6] })).toEqual(new Set([5, 6]))
    expect(await endIds({ eos_token_id: 3 }, { eos_token_id: [5, 6] })).toEqual(new Set([5, 6, 3]))
    expect(await endIds({ eos_token_id: 9 }, {})).toEqual(new Set([9]))
  })

  it('can be added by an option, by their texts', async () => {
    expect((await read({}, { endTokens: ['<|user|>', '!'] })).endIds.has(1)).toBe(true)
    await expect(read({}, { endTokens: ['<|im_end|>'] })).rejects.toEqual(
      refusal('invalid-option', '<|im_end|>'),
    )
  })
})

describe('the default sampling', () => {
  const off = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }
  it.each([
    ['is greedy without a generation_config.json', undefined, off],
    ['is greedy if do_sample is missing', { temperature: 0.7 }, off],
    ['is greedy if do_sample is false', { do_sample: false, temperature: 0.7 }, off],
    ['has temperature 1 if none is set', { do_sample: true }, { ...off, temperature: 1 }],
    ['ignores null', { do_sample: true, temperature: null, top_k: null }, { ...off, temperature: 1 }],
    [
      'ignores values out of range',
      { do_sample: true, top_k: -1, top_p: 0, min_p: 2, repetition_penalty: 0, temperature: -1 },
      { ...off, temperature: 1 },
    ],
    [
      'has the values of generation_config.json',
      {
        do_sample: true,
        temperature: 0.6,
        top_k: 50,
        top_p: 0.9,
        min_p: 0.05,
        repetition_penalty: 1.1,
        max_new_tokens: 64,
      },
      { temperature: 0.6, topK: 50, topP: 0.9, minP: 0.05, repetitionPenalty: 1.1 },
    ],
  ])('%s', async (_, generation, expected) => {
    const files = generation && { 'generation_config.json': generation }
    expect((await read(files)).sampling).toEqual(expected)
  })
})

describe('the default of maxTokens', () => {
  it('comes from generation_config.json, or is undefined', async () => {
    expect((await read({ 'generation_config.json': { max_new_tokens: 64 } })).maxTokens).toBe(64)
    expect((await read({ 'generation_config.json': { max_new_tokens: null } })).maxTokens).toBeUndefined()
    expect((await read()).maxTokens).toBeUndefined()
  })
})

describe('the chat template', () => {
  const config = { 'tokenizer_config.json': { chat_template: 'CONFIG {{ bos_token }}', bos_token: '<s>' } }
  const jinja = { 'chat_template.jinja': 'JINJA' }
  const json = { 'chat_template.json': { chat_template: 'JSON' } }
  const named = {
    'tokenizer_config.json': {
      chat_template: [
        { name: 'tool_use', template: 'TOOLS' },
        { name: 'default', template: 'DEFAULT' },
        { name: 'rag', template: 'RAG' },
      ],
    },
  }

  async function write(files: Parameters<typeof read>[0], options = {}, variables = {}) {
    const { chatTemplate } = await read(files, options)
    return chatTemplate
      ?.render([{ role: 'user' }], variables)
      .map(({ text }) => text)
      .join('')
  }

  it.each<[string, Parameters<typeof read>[0], string | undefined]>([
    ['tokenizer_config.json', config, 'CONFIG <s>'],
    ['tokenizer_config.json if there are several', { ...json, ...jinja, ...config }, 'CONFIG <s>'],
    ['chat_template.jinja', jinja, 'JINJA'],
    ['chat_template.jinja before chat_template.json', { ...json, ...jinja }, 'JINJA'],
    ['chat_template.json', json, 'JSON'],
    ['the template named default', named, 'DEFAULT'],
    ['nowhere', {}, undefined],
  ])('comes from %s', async (_, files, expected) => {
    expect(await write(files)).toBe(expected)
  })

  it('is the one named tool_use if the request has tools, as in transformers', async () => {
    expect(await write(named, {}, { tools: [{}] })).toBe('TOOLS')
    expect(await write(config, {}, { tools: [{}] })).toBe('CONFIG <s>')
  })

  it('can be given as an option, which may also name one of the model’s templates', async () => {
    expect(await write(config, { chatTemplate: '{{ bos_token }}OPTION' })).toBe('<s>OPTION')
    expect(await write({}, { chatTemplate: '{{ messages[0].role }}' })).toBe('user')
    expect(await write(named, { chatTemplate: 'rag' })).toBe('RAG')
    await expect(write(named, { chatTemplate: 'rags' })).rejects.toEqual(
      refusal('invalid-option', 'got "rags". Its templates are: tool_use, default, rag.'),
    )
    await expect(write({}, { chatTemplate: 'rag' })).rejects.toEqual(
      refusal('invalid-option', 'It has no templates.'),
    )
  })

  it('requests no file of its own if tokenizer_config.json has it', async () => {
    const requested: string[] = []
    await read(config, {}, requested)
    expect(requested.filter((path) => path.startsWith('chat_template'))).toEqual([])
  })
})
