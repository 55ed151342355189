// Runs in Node, without a page. The engine is scripted: real token streams over a script instead of a worker.
import { describe, expect, it, onTestFinished } from 'vitest'
import { createChat, type Chat, type ChatOptions, type ChatSnapshot } from './chat.js'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'
import { RivuletError } from './contract/errors.js'
import type { Engine } from './engine.js'

const words = ['Once', ' upon', ' a', ' time']
const story = words.join('')
const broken = (code: 'generation-failed' | 'prompt-too-long' = 'generation-failed') =>
  new RivuletError(code, 'It broke.')

function openChat(script: Script = { words }, options: Partial<ChatOptions> = {}) {
  const engine = createScriptedEngine(() => script)
  return { engine, chat: createChat({ engine, ...options }) }
}

/** The first snapshot for which `isIt` is true. */
function waitFor(chat: Chat, isIt: (snapshot: ChatSnapshot) => boolean): Promise<ChatSnapshot> {
  return new Promise((resolve) => {
    const unsubscribe = chat.subscribe((snapshot) => {
      if (!isIt(snapshot)) return
      resolve(snapshot)
      queueMicrotask(() => unsubscribe())
    })
  })
}

const hasText = (text: string) => (snapshot: ChatSnapshot) => snapshot.messages.at(-1)?.text === text
const texts = ({ messages }: ChatSnapshot) => messages.map(({ role, text }) => `${role}: ${text}`)
const refused = (code: string, reason: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(reason) })

describe('the options for answers', () => {
  it('can be replaced, from the next answer on', async () => {
    const { chat, engine } = openChat({ words }, { system: 'Be brief.', sampling: { maxTokens: 9 } })
    await chat.send('Hello')
    chat.setOptions({ system: 'Rhyme.', sampling: { topK: 1 } })
    await chat.send('Again')
    expect(engine.requests[1]).toMatchObject({ prompt: [{ role: 'system', content: 'Rhyme.' }, {}, {}, {}] })
    expect(engine.requests[1]!.options).toMatchObject({ topK: 1 })
    expect(engine.requests[1]!.options).not.toHaveProperty('maxTokens')
    chat.setOptions({})
    await chat.send('And again')
    expect(engine.requests[2]!.options).not.toHaveProperty('topK')
    expect(engine.requests[2]!.prompt).not.toContainEqual(expect.objectContaining({ role: 'system' }))
  })

  it('are kept if the new ones are invalid', async () => {
    const { chat, engine } = openChat({ words }, { sampling: { maxTokens: 9 } })
    expect(() => chat.setOptions({ sampling: { maxTokens: 0 } })).toThrow(
      refused('invalid-option', 'maxTokens'),
    )
    await chat.send('Hello')
    expect(engine.requests[0]!.options).toMatchObject({ maxTokens: 9 })
  })

  it('an empty system text is none', async () => {
    const { chat, engine } = openChat({ words }, { system: '' })
    await chat.send('Hello')
    expect(engine.requests[0]!.prompt).toEqual([{ role: 'user', content: 'Hello' }])
  })
})

describe('a chat (scripted engine)', () => {
  it('streams an answer after its question, with its figures', async () => {
    const { chat } = openChat()
    const seen: string[] = []
    chat.subscribe(({ messages, status }) => seen.push(`${status.kind}: ${messages.at(-1)?.text ?? ''}`))
    const answer = await chat.send('Hello')
    expect(seen).toEqual([
      'ready: ',
      'answering: ',
      'answering: Once',
      'answering: Once upon',
      'answering: Once upon a',
      'answering: Once upon a time',
      'ready: Once upon a time',
    ])
    expect(texts(chat.getSnapshot())).toEqual(['user: Hello', `assistant: ${story}`])
    expect(answer).toBe(chat.getSnapshot().messages[1])
    expect(answer.state).toMatchObject({
      kind: 'finished',
      finishReason: 'stop',
      usage: { completionTokens: 4 },
      latency: { timeToFirstTokenMs: expect.any(Number) },
    })
  })

  it('sends the instructions and the conversation so far', async () => {
    const { chat, engine } = openChat({ words }, { system: 'Be brief.', sampling: { maxTokens: 9, topK: 1 } })
    await chat.send('One?')
    await chat.send('Two?', { topK: 2 })
    expect(engine.requests[1]).toMatchObject({
      options: { maxTokens: 9, topK: 2 },
      prompt: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'One?' },
        { role: 'assistant', content: story },
        { role: 'user', content: 'Two?' },
      ],
    })
  })

  it('keeps the text so far when it is stopped, and takes the next question', async () => {
    const { chat, engine } = openChat({ words, end: 'silence' })
    const asked = chat.send('Hello')
    await waitFor(chat, hasText(story))
    await chat.stop()
    expect(chat.getSnapshot().status).toEqual({ kind: 'ready' })
    expect(await asked).toMatchObject({ text: story, state: { kind: 'finished', finishReason: 'cancelled' } })
    const next = chat.send('And then?')
    await waitFor(chat, hasText(story))
    await chat.stop()
    await next
    expect(engine.requests[1]?.prompt).toHaveLength(3)
  })

  it('keeps the text and the error of a failed answer, and can try again', async () => {
    const scripts: Script[] = [{ words, end: broken() }, { words: ['Fine'] }]
    const engine = createScriptedEngine(() => scripts.shift()!)
    const chat = createChat({ engine })
    const answer = await chat.send('Hello')
    expect(answer).toMatchObject({
      text: story,
      state: { kind: 'failed', error: { code: 'generation-failed', message: 'It broke.' } },
    })
    expect(chat.getSnapshot().status).toMatchObject({ kind: 'failed', error: { text: story } })
    await chat.regenerate()
    expect(texts(chat.getSnapshot())).toEqual(['user: Hello', 'assistant: Fine'])
    expect(chat.getSnapshot().status).toEqual({ kind: 'ready' })
  })

  it('refuses a question while it answers, and stays unchanged', async () => {
    const { chat } = openChat()
    const asked = chat.send('Hello')
    const before = chat.getSnapshot()
    const [question] = before.messages
    const busy = refused('chat-busy', 'stop()')
    expect(() => chat.send('And?')).toThrow(busy)
    expect(() => chat.regenerate()).toThrow(busy)
    expect(() => chat.resend(question!.id, 'Or?')).toThrow(busy)
    expect(chat.getSnapshot()).toBe(before)
    expect(await asked).toMatchObject({ text: story })
  })

  it('replaces a question and everything after it', async () => {
    const { chat } = openChat()
    await chat.send('One?')
    await chat.send('Two?')
    await chat.resend(chat.getSnapshot().messages[0]!.id, 'Three?')
    expect(texts(chat.getSnapshot())).toEqual(['user: Three?', `assistant: ${story}`])
  })

  it('does not send unanswered questions', async () => {
    const scripts: Script[] = [{ words: [], end: broken() }, { words }]
    const engine = createScriptedEngine(() => scripts.shift()!)
    const chat = createChat({ engine })
    await chat.send('One?')
    await chat.send('Two?')
    expect(engine.requests[1]?.prompt).toEqual([{ role: 'user', content: 'Two?' }])
  })

  it('shows another branch at once, without the running answer', async () => {
    const { chat } = openChat()
    const abandoned = chat.send('Hello')
    await waitFor(chat, hasText('Once'))
    chat.setMessages([])
    expect(chat.getSnapshot()).toMatchObject({ messages: [], status: { kind: 'ready' } })
    const next = chat.send('And?')
    expect(await abandoned).toMatchObject({ state: { finishReason: 'cancelled' } })
    await next
    expect(texts(chat.getSnapshot())).toEqual(['user: And?', `assistant: ${story}`])
  })

  it('restores its messages from JSON; a running answer becomes a cancelled one', async () => {
    const { chat } = openChat()
    await chat.send('One?')
    const asked = chat.send('Two?')
    await waitFor(chat, hasText('Once'))
    const kept = JSON.stringify(chat.getSnapshot().messages)
    await asked
    const { chat: again, engine } = openChat({ words }, { messages: JSON.parse(kept) })
    expect(texts(again.getSnapshot())).toEqual([
      'user: One?',
      `assistant: ${story}`,
      'user: Two?',
      'assistant: Once',
    ])
    expect(again.getSnapshot().messages.at(-1)).toMatchObject({ state: { finishReason: 'cancelled' } })
    await again.send('Three?')
    expect(engine.requests[0]?.prompt).toHaveLength(5)
  })
})

describe('a continued answer (scripted engine)', () => {
  const [once, ...rest] = words
  const prompt = [{ role: 'user', content: 'Hello' }]

  function openCutChat(first: Script, second: Script = { words: rest }) {
    const scripts = [first, second]
    const engine = createScriptedEngine(() => scripts.shift()!)
    return { engine, chat: createChat({ engine }) }
  }

  it('keeps its id and text, and gets the state of the added part', async () => {
    const { chat, engine } = openCutChat({ words: [once!] })
    const cut = await chat.send('Hello')
    const seen: string[] = []
    chat.subscribe(({ messages, status }) => seen.push(`${status.kind}: ${messages.at(-1)!.text}`))
    const answer = await chat.continue({ topK: 3 })
    expect(seen).toEqual([
      'ready: Once',
      'answering: Once',
      'answering: Once upon',
      'answering: Once upon a',
      'answering: Once upon a time',
      'ready: Once upon a time',
    ])
    expect(answer).toMatchObject({ id: cut.id, text: story, state: { usage: { completionTokens: 3 } } })
    expect(chat.getSnapshot().messages).toHaveLength(2)
    expect(chat.getSnapshot().messages[1]).toBe(answer)
    expect(engine.requests[1]).toMatchObject({ prompt, assistantPrefix: 'Once', options: { topK: 3 } })
  })

  it('can continue a failed one, and keeps all its text when it fails again', async () => {
    const { chat } = openCutChat({ words: [once!], end: broken() }, { words: rest, end: broken() })
    await chat.send('Hello')
    expect(await chat.continue()).toMatchObject({ text: story, state: { kind: 'failed' } })
    expect(chat.getSnapshot().status).toMatchObject({ kind: 'failed', error: { code: 'generation-failed' } })
  })

  it('can be stopped again', async () => {
    const { chat } = openCutChat({ words: [once!] }, { words: rest, end: 'silence' })
    await chat.send('Hello')
    const continued = chat.continue()
    await waitFor(chat, hasText(story))
    await chat.stop()
    expect(await continued).toMatchObject({ text: story, state: { finishReason: 'cancelled' } })
  })

  it('without text is written from the start', async () => {
    const { chat, engine } = openCutChat({ words: [], end: broken() }, { words })
    const { id } = await chat.send('Hello')
    expect(await chat.continue()).toMatchObject({ id, text: story })
    expect(engine.requests[1]).toMatchObject({ prompt, assistantPrefix: undefined, options: { stop: [] } })
  })

  it('is sent without the oldest exchanges if the context is too short for them', async () => {
    const engine = createScriptedEngine(() => ({ words: ['0123456789'] }), { contextLength: 100 })
    const chat = createChat({ engine })
    for (const digit of '1234') await chat.send(digit.repeat(10))
    await chat.continue()
    expect(chat.getSnapshot().forgottenMessages).toBeGreaterThan(0)
    expect(engine.requests.at(-1)).toMatchObject({ assistantPrefix: '0123456789' })
    expect(chat.getSnapshot().messages.at(-1)).toMatchObject({ text: '01234567890123456789' })
  })

  it('is refused while an answer runs, and if the last message is not an answer', async () => {
    const { chat } = openChat()
    expect(() => chat.continue()).toThrow(refused('invalid-option', 'no answer'))
    chat.setMessages([{ id: '1', role: 'user', text: 'Hello' }])
    expect(() => chat.continue()).toThrow(refused('invalid-option', 'no answer'))
    const asked = chat.send('Hello')
    expect(() => chat.continue()).toThrow(refused('chat-busy', 'stop()'))
    await asked
    expect(() => chat.continue({ temperature: -1 })).toThrow(refused('invalid-option', '"temperature"'))
  })
})

describe('the snapshots of a chat (scripted engine)', () => {
  it('are the same object until something changes, and never change themselves', async () => {
    const { chat } = openChat()
    const seen = new Map<ChatSnapshot, string>()
    chat.subscribe((snapshot) => {
      expect(chat.getSnapshot()).toBe(snapshot)
      seen.set(snapshot, JSON.stringify(snapshot))
    })
    await chat.send('Hello')
    expect(chat.getSnapshot()).toBe(chat.getSnapshot())
    for (const [snapshot, then] of seen) expect(JSON.stringify(snapshot)).toBe(then)
  })

  it('keep the objects of the messages that have not changed', async () => {
    const { chat } = openChat()
    await chat.send('One?')
    const before = chat.getSnapshot().messages
    await chat.send('Two?')
    const after = chat.getSnapshot().messages
    expect(after[0]).toBe(before[0])
    expect(after[1]).toBe(before[1])
  })

  it('reach a listener at once, then once per microtask with changes', async () => {
    const { chat } = openChat()
    let calls = 0
    chat.subscribe(() => (calls += 1))
    expect(calls).toBe(1)
    chat.setMessages([{ id: '1', role: 'user', text: 'One?' }])
    chat.setMessages([])
    expect(calls).toBe(1)
    await Promise.resolve()
    expect(calls).toBe(2)
  })

  it('have reached every listener when the answer resolves', async () => {
    const { chat } = openChat()
    let last: ChatSnapshot | undefined
    chat.subscribe((snapshot) => (last = snapshot))
    await chat.send('Hello')
    expect(last).toBe(chat.getSnapshot())
    expect(last).toMatchObject({ status: { kind: 'ready' } })
  })

  it('do not reach a listener that unsubscribed', async () => {
    const { chat } = openChat()
    let calls = 0
    const unsubscribe = chat.subscribe(() => (calls += 1))
    const asked = chat.send('Hello')
    unsubscribe()
    await asked
    expect(calls).toBe(1)
  })

  it('reach the other listeners when one throws, whose error is reported as uncaught', async () => {
    const { chat } = openChat()
    const uncaught: unknown[] = []
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => uncaught.push(error))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of others) process.on('uncaughtException', listener)
    })
    const seen: string[] = []
    chat.subscribe(({ status }) => {
      if (status.kind === 'answering') throw new Error('mine')
    })
    chat.subscribe(({ status }) => seen.push(status.kind))
    await chat.send('Hello')
    expect(seen.at(-1)).toBe('ready')
    expect(uncaught.length).toBeGreaterThan(0)
    expect(uncaught[0]).toMatchObject({ message: 'mine' })
  })
})

describe("a chat's engine (scripted)", () => {
  it('may still be loading: the question is answered when it is ready', async () => {
    const chat = createChat({ engine: Promise.resolve(createScriptedEngine(() => ({ words }))) })
    expect(chat.getSnapshot().status).toEqual({ kind: 'loading' })
    const asked = chat.send('Hello')
    expect(chat.getSnapshot().status).toEqual({ kind: 'answering' })
    expect(await asked).toMatchObject({ text: story })
    expect(chat.getSnapshot().status).toEqual({ kind: 'ready' })
  })

  it('does not block stop() if it never loads', async () => {
    const chat = createChat({ engine: new Promise<Engine>(() => {}) })
    const asked = chat.send('Hello')
    await chat.stop()
    expect(await asked).toMatchObject({ text: '', state: { kind: 'finished', finishReason: 'cancelled' } })
    expect(chat.getSnapshot().status).toEqual({ kind: 'loading' })
  })

  it('fails the chat and the waiting answer if it cannot be loaded, and can be replaced', async () => {
    const error = new RivuletError('backend-unavailable', 'No GPU.')
    const chat = createChat({ engine: Promise.reject<Engine>(error) })
    const asked = chat.send('Hello')
    expect(await asked).toMatchObject({ state: { kind: 'failed', error: { code: 'backend-unavailable' } } })
    expect(chat.getSnapshot().status).toEqual({ kind: 'failed', error })
    chat.setEngine(createScriptedEngine(() => ({ words })))
    expect(chat.getSnapshot().status).toEqual({ kind: 'ready' })
    await chat.regenerate()
    expect(texts(chat.getSnapshot())).toEqual(['user: Hello', `assistant: ${story}`])
  })

  it('is not used any more once it is replaced, whichever loads first', async () => {
    let finishLoading!: (engine: Engine) => void
    const late = createScriptedEngine(() => ({ words: ['late'] }))
    const chat = createChat({ engine: new Promise<Engine>((resolve) => (finishLoading = resolve)) })
    chat.setEngine(createScriptedEngine(() => ({ words })))
    finishLoading(late)
    expect(await chat.send('Hello')).toMatchObject({ text: story })
    expect(late.requests).toEqual([])
  })

  it('is not waited for any more once it is replaced', async () => {
    const chat = createChat({ engine: new Promise<Engine>(() => {}) })
    const asked = chat.send('Hello')
    await Promise.resolve()
    chat.setEngine(Promise.resolve(createScriptedEngine(() => ({ words }))))
    expect(await asked).toMatchObject({ text: story })
  })

  it('fails the answer if it was disposed', async () => {
    const { chat, engine } = openChat()
    await engine.dispose()
    expect(await chat.send('Hello')).toMatchObject({ state: { error: { code: 'engine-disposed' } } })
  })

  it('gets no old exchanges that exceed its context; the snapshot counts them', async () => {
    const contextLength = 100
    const engine = createScriptedEngine(() => ({ words: ['0123456789'] }), { contextLength })
    const chat = createChat({ engine, system: '!' })
    for (const digit of '12345678') {
      const answer = await chat.send(digit.repeat(10))
      expect(answer.state).toMatchObject({ kind: 'finished' })
    }
    const { forgottenMessages, messages } = chat.getSnapshot()
    expect(messages).toHaveLength(16)
    expect(forgottenMessages % 2).toBe(0)
    expect(forgottenMessages).toBeGreaterThan(0)
    const { prompt } = engine.requests.at(-1)!
    expect(prompt).toHaveLength(1 + 15 - forgottenMessages)
    expect(prompt[0]).toEqual({ role: 'system', content: '!' })
  })

  it('gets exactly the exchanges that leave room for an answer, by its own count', async () => {
    // The template is 20 tokens, and half of the context is kept for the answer: 80 tokens for 8 turns of 10.
    const engine = createScriptedEngine(() => ({ words: ['0123456789'] }), { contextLength: 200 })
    const chat = createChat({ engine })
    for (const digit of '12345') await chat.send(digit.repeat(10))
    expect(chat.getSnapshot().forgottenMessages).toBe(2)
    expect(engine.requests.at(-1)!.prompt[0]).toEqual({ role: 'user', content: '2'.repeat(10) })
    expect(engine.counted.at(-1)!.prompt).toEqual(engine.requests.at(-1)!.prompt)
  })

  it('counts what it sends: tools, reasoning and template variables too', async () => {
    const engine = createScriptedEngine(() => ({ words: ['.'] }), { contextLength: 200 })
    const tool = { name: 'clock', run: () => 'noon' }
    const sampling = { reasoning: 'off', templateVariables: { date: 'today' }, temperature: 0 } as const
    const chat = createChat({ engine, tools: [tool], sampling })
    await chat.send('Hello')
    await chat.send('Bye')
    const { options } = engine.counted[0]!
    const { reasoning, templateVariables } = sampling
    expect(options).toEqual({
      ...options,
      reasoning,
      templateVariables,
      tools: engine.requests[0]!.options.tools,
    })
    expect(options).not.toHaveProperty('temperature')
  })

  it('that cannot count tokens gets an estimated part of a long conversation', async () => {
    const options = { contextLength: 100, tokenCounting: false }
    const engine = createScriptedEngine(() => ({ words: ['0123456789'] }), options)
    const chat = createChat({ engine })
    for (const digit of '12345678') {
      expect(await chat.send(digit.repeat(10))).toMatchObject({ state: { kind: 'finished' } })
    }
    expect(chat.getSnapshot().forgottenMessages).toBeGreaterThan(0)
    expect(engine.counted).toEqual([])
  })

  it('computes the conversation ahead of the next question, without old exchanges and with the tools', async () => {
    const engine = createScriptedEngine(() => ({ words: ['0123456789'] }), { contextLength: 200 })
    const tool = { name: 'clock', run: () => 'noon' }
    const chat = createChat({
      engine,
      system: '!',
      tools: [tool],
      sampling: { reasoning: 'off', temperature: 0 },
    })
    await chat.prepare()
    for (const digit of '12345') await chat.send(digit.repeat(10))
    await chat.prepare()
    const [first, last] = engine.prefilled
    expect(first!.prompt).toEqual([{ role: 'system', content: '!' }])
    const { messages } = chat.getSnapshot()
    expect(last!.prompt).toEqual([
      { role: 'system', content: '!' },
      ...messages.slice(4).map(({ role, text }) => ({ role, content: text })),
    ])
    expect(last!.options).toMatchObject({ reasoning: 'off', tools: engine.requests.at(-1)!.options.tools })
  })

  it('keeps the conversation in the store if it is asked to, and the engine can', async () => {
    const { chat, engine } = openChat()
    await chat.send('Hello')
    await chat.prepare({ keepPrefix: true })
    Object.assign(engine.info, { supports: { ...engine.info.supports, keptPrefixes: true } })
    await chat.prepare()
    await chat.prepare({ keepPrefix: true })
    expect(engine.prefilled.map(({ keepPrefix }) => keepPrefix)).toEqual([false, false, true])
    await expect(chat.prepare({ keep: true } as object)).rejects.toMatchObject({ code: 'invalid-option' })
    await expect(chat.prepare({ keepPrefix: 1 as never })).rejects.toMatchObject({ code: 'invalid-option' })
  })

  it('prepares nothing while it answers, without messages, or with an engine that cannot; and never rejects', async () => {
    const { chat, engine } = openChat()
    await chat.prepare()
    const asked = chat.send('Hello')
    await chat.prepare()
    await asked
    expect(engine.prefilled).toEqual([])
    Object.assign(engine, { prefill: () => Promise.reject(new Error('the runtime broke')) })
    await chat.prepare()
    Object.assign(engine.info, { supports: { ...engine.info.supports, prefill: false } })
    await chat.prepare()
    expect(await chat.send('Bye')).toMatchObject({ state: { kind: 'finished' } })
  })

  it('stops an answer while its tokens are counted', async () => {
    const engine = createScriptedEngine(() => ({ words: ['.'] }), { contextLength: 200 })
    Object.assign(engine, {
      countTokens: (_: unknown, { signal }: { readonly signal: AbortSignal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        ),
    })
    const chat = createChat({ engine })
    await chat.send('Hello')
    const asked = chat.send('Bye')
    await new Promise((resolve) => setTimeout(resolve, 5))
    await chat.stop()
    expect(await asked).toMatchObject({ text: '', state: { kind: 'finished', finishReason: 'cancelled' } })
  })

  it('gets everything that fits, even after a short start', async () => {
    const engine = createScriptedEngine(() => ({ words: ['.'] }), { contextLength: 1000 })
    const chat = createChat({ engine })
    await chat.send('Hi')
    await chat.send('x'.repeat(400))
    expect(chat.getSnapshot().forgottenMessages).toBe(0)
  })

  it('fails the answer to a single question that is too long', async () => {
    const chat = createChat({ engine: createScriptedEngine(() => ({ words }), { contextLength: 30 }) })
    await chat.send('short')
    const answer = await chat.send('a question of some length')
    expect(answer).toMatchObject({ text: '', state: { error: { code: 'prompt-too-long' } } })
    expect(chat.getSnapshot().forgottenMessages).toBe(2)
  })
})

describe('a chat refuses, by its name,', () => {
  const { chat, engine } = openChat()
  it.each<[string, () => unknown]>([
    ['object', () => createChat(undefined as never)],
    ['"model"', () => createChat({ engine, model: 'x' } as never)],
    ['"engine"', () => createChat({ engine: {} as never })],
    ['"engine"', () => chat.setEngine(undefined as never)],
    ['"system"', () => createChat({ engine, system: 1 as never })],
    ['"temperature"', () => createChat({ engine, sampling: { temperature: -1 } })],
    ['"signal"', () => chat.send('Hello', { signal: AbortSignal.abort() } as never)],
    ['"topLogprobs"', () => chat.send('Hello', { topLogprobs: 1 } as never)],
    ['"continueFinalMessage"', () => chat.send('Hello', { continueFinalMessage: true } as never)],
    ['"applyChatTemplate"', () => chat.send('Hello', { applyChatTemplate: false } as never)],
    ['empty', () => chat.send('')],
    ['string', () => chat.send({} as never)],
    ['surrogate', () => chat.send('\ud800')],
    ['no question', () => chat.regenerate()],
    ['no question', () => chat.resend('1', 'Hello')],
    ['array', () => chat.setMessages('Hello' as never)],
    ['messages[0]', () => chat.setMessages([{ id: '1', role: 'user', text: '' }])],
    ['"system"', () => chat.setMessages([{ id: '1', role: 'system', text: 'Be brief.' } as never])],
    ['state', () => chat.setMessages([{ id: '1', role: 'assistant', text: '', state: {} } as never])],
    ['same id', () => chat.setMessages(['a', 'b'].map((text) => ({ id: '1', role: 'user', text })))],
  ])('%s', (reason, call) => {
    const before = chat.getSnapshot()
    expect(call).toThrow(refused('invalid-option', reason))
    expect(chat.getSnapshot()).toBe(before)
    expect(engine.requests).toEqual([])
  })
})
