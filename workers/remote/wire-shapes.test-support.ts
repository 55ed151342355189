// The forms in which servers send answers and failures, and how they must be read. Recorded from, or written after, the
// documentation and source of the named servers.
import type { ErrorCode } from '../../lib/contract/errors.js'
import type { AnswerEnd } from '../../lib/contract/worker-api.js'

export interface WireShape {
  readonly name: string
  readonly body: string
  /** @default 200 */
  readonly status?: number
  /** @default 'text/event-stream' */
  readonly contentType?: string
  readonly allowMissingFinishReason?: true
  readonly maxTokens?: number
  readonly expected: {
    /** How the answer ends: a finish reason, or an error's code. */
    readonly end: AnswerEnd | ErrorCode
    /** @default '' */
    readonly text?: string
    /** @default '' */
    readonly reasoning?: string
    /** The name and arguments of each tool call. @default none */
    readonly toolCalls?: readonly (readonly [name: string, args: string])[]
    /** The counts of the step `counted`: prompt and completion. @default not counted */
    readonly counted?: readonly [number, number]
    /** The sum of the chunks' `tokenCount`. @default not checked */
    readonly tokens?: number
    /** The error's message. */
    readonly message?: RegExp
  }
}

const text = 'Once upon 🐉 a\ntime'
const chunk = (delta: object | null, finishReason: string | null = null, more: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta, finish_reason: finishReason }],
  ...more,
})
const say = (content: unknown) => chunk({ content })
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }
const usageChunk = { choices: [], usage }
const head = chunk({ role: 'assistant', content: '' })
const words = [say('Once'), say(' upon 🐉'), say(' a\ntime')]
const stop = chunk({}, 'stop')
const done = '[DONE]'

type Data = object | string | null
const json = (data: Data) => (typeof data === 'string' ? data : JSON.stringify(data))
const write = (events: readonly Data[], newline = '\n') =>
  events.map((event) => `data: ${json(event)}${newline}${newline}`).join('')
const whole = [head, ...words, stop, usageChunk, done]
const complete = { end: 'stop', text, counted: [7, 3] } as const
const uncounted = { end: 'stop', text } as const

const shape = (
  name: string,
  events: readonly Data[],
  expected: WireShape['expected'],
  more: Partial<WireShape> = {},
): WireShape => ({
  name,
  body: write(events),
  expected,
  ...more,
})
const raw = (
  name: string,
  body: string,
  expected: WireShape['expected'],
  more: Partial<WireShape> = {},
): WireShape => ({
  name,
  body,
  expected,
  ...more,
})

/** The answer in every dress of the transport. */
const dresses: readonly WireShape[] = [
  shape('vLLM, llama.cpp, OpenAI', whole, complete),
  raw('carriage returns and line feeds (nginx)', write(whole, '\r\n'), complete),
  raw('carriage returns', write(whole, '\r'), complete),
  raw(
    'a byte order mark and comments (OpenRouter)',
    `\uFEFF: OPENROUTER PROCESSING\n\n${write(whole)}`,
    complete,
  ),
  raw('no space after the colon', write(whole).replaceAll('data: ', 'data:'), complete),
  raw(
    'event names and ids',
    whole.map((data, id) => `id: ${id}\nevent: message\ndata: ${json(data)}\n\n`).join(''),
    complete,
  ),
  raw(
    'other event names',
    whole.map((data) => `event: completion.chunk\ndata: ${json(data)}\n\n`).join(''),
    complete,
  ),
  raw('retry fields', `retry: 3000\n\n${write(whole)}`, complete),
  raw('ping events (Anthropic)', `event: ping\ndata: {"type": "ping"}\n\n${write(whole)}`, complete),
  raw(
    'pretty JSON over several data lines',
    whole
      .map(
        (data) =>
          `data: ${typeof data === 'string' ? data : JSON.stringify(data, null, 1).replaceAll('\n', '\ndata: ')}\n\n`,
      )
      .join(''),
    complete,
  ),
  raw('no blank lines between events', whole.map((data) => `data: ${json(data)}\n`).join(''), complete),
  raw('several blank lines between events', write(whole).replaceAll('\n\n', '\n\n\n\n'), complete),
  raw('the last event without its blank line', write(whole).trimEnd(), complete),
  raw('the terminator with a space', write(whole).replace('[DONE]', '[DONE] '), complete),
  raw('the terminator in quotes', write(whole).replace('[DONE]', '"[DONE]"'), complete),
  raw('the terminator in small letters', write(whole).replace('[DONE]', '[done]'), complete),
  raw('text after the terminator', `${write(whole)}data: not JSON\n\n`, complete),
  shape('no terminator', whole.slice(0, -1), complete),
  shape('neither terminator nor usage', [head, ...words, stop], uncounted),
  shape('the terminator without usage', [head, ...words, stop, done], uncounted),
  shape('null as data', [head, null, ...words, null, stop, usageChunk, done], complete),
  raw('empty data', write(whole).replaceAll('\n\n', '\n\ndata:\n\ndata: \n\n'), complete),
  raw(
    'JSON lines',
    whole
      .slice(0, -1)
      .map((data) => `${json(data)}\n`)
      .join(''),
    complete,
    { contentType: 'application/x-ndjson' },
  ),
  raw(
    'an array of chunks in an event',
    `data: ${JSON.stringify([head, ...words])}\n\n${write([stop, usageChunk, done])}`,
    complete,
  ),
  shape('a media type in capitals', whole, complete, { contentType: 'Text/Event-Stream' }),
  shape('a media type with parameters', whole, complete, {
    contentType: 'text/event-stream; charset=utf-8; x=1',
  }),
  shape('a stream as text/plain', whole, complete, { contentType: 'text/plain; charset=utf-8' }),
  shape('a stream as application/json', whole, complete, { contentType: 'application/json' }),
]

const message = { role: 'assistant', content: text }
const wholeAnswer = {
  object: 'chat.completion',
  choices: [{ index: 0, message, finish_reason: 'stop' }],
  usage,
}
const call = (
  index: number | undefined,
  id: string | undefined,
  name: string | undefined,
  args: unknown,
) => ({
  ...(index !== undefined && { index }),
  ...(id !== undefined && { id, type: 'function' }),
  function: { ...(name !== undefined && { name }), arguments: args },
})
const callTool = (...calls: object[]) => chunk({ tool_calls: calls })
const weather = [['look', '{"at":"Bern"}']] as const
const counted = [stop, usageChunk, done]

/** The answer in every shape of the content. */
const contents: readonly WireShape[] = [
  shape(
    'null as choices on the usage chunk',
    [...words, stop, { ...usageChunk, choices: null }, done],
    complete,
  ),
  shape('no choices on the usage chunk', [...words, stop, { usage }, done], complete),
  shape(
    'usage on the last chunk (Mistral)',
    [...words, chunk({ content: '' }, 'stop', { usage }), done],
    complete,
  ),
  shape(
    'usage on every chunk (vLLM, continuous)',
    [
      chunk({ content: 'Once' }, null, { usage: { ...usage, completion_tokens: 5 } }),
      chunk({ content: ' upon' }, null, { usage: { ...usage, completion_tokens: 20 } }),
      stop,
      { choices: [], usage: { ...usage, completion_tokens: 20 } },
      done,
    ],
    { end: 'stop', text: 'Once upon', counted: [7, 20], tokens: 20 },
  ),
  shape(
    'usage of zeros on every chunk',
    [...words.map((each) => ({ ...each, usage: { prompt_tokens: 0, completion_tokens: 0 } })), stop, done],
    { end: 'stop', text, counted: [0, 3], tokens: 3 },
  ),
  shape('usage in x_groq (Groq)', [...words, { ...stop, x_groq: { usage } }, done], complete),
  shape(
    'usage in the choice (Moonshot)',
    [...words, { choices: [{ index: 0, delta: {}, finish_reason: 'stop', usage }] }, done],
    complete,
  ),
  shape(
    'usage under the names of Anthropic',
    [...words, stop, { usage: { input_tokens: 7, output_tokens: 3 } }, done],
    complete,
  ),
  shape(
    'usage null on every chunk (OpenAI)',
    [...words.map((each) => ({ ...each, usage: null })), ...counted],
    complete,
  ),
  shape(
    'usage with text instead of numbers',
    [...words, stop, { usage: { prompt_tokens: '7', completion_tokens: 'three' } }, done],
    { end: 'stop', text, counted: [7, 3] },
  ),
  shape(
    'filter results before the answer (Azure)',
    [{ choices: [], prompt_filter_results: [{ prompt_index: 0 }] }, ...words, ...counted],
    complete,
  ),
  shape(
    'progress of the prompt (llama.cpp)',
    [{ object: 'progress', prompt_progress: { total: 5, processed: 2 } }, ...words, ...counted],
    complete,
  ),
  shape('null as delta', [chunk(null), ...words, chunk(null, 'stop'), usageChunk, done], complete),
  shape('null as content', [chunk({ role: 'assistant', content: null }), ...words, ...counted], complete),
  shape(
    'no index',
    words
      .map((each) => ({ choices: [{ delta: each.choices[0]!.delta }] as object[] }))
      .concat([{ choices: [{ delta: {}, finish_reason: 'stop' }] }]),
    uncounted,
  ),
  shape(
    'empty finish reasons',
    [...words.map((each) => ({ choices: [{ ...each.choices[0], finish_reason: '' }] })), ...counted],
    complete,
  ),
  shape(
    'content as a list of text parts (Mistral)',
    [
      say([{ type: 'text', text: 'Once' }]),
      say([
        { type: 'text', text: ' upon' },
        { type: 'text', text: ' a' },
      ]),
      stop,
      done,
    ],
    { end: 'stop', text: 'Once upon a' },
  ),
  shape('content as a part', [say({ type: 'text', text: 'Once' }), stop, done], {
    end: 'stop',
    text: 'Once',
  }),
  shape('content as output_text parts', [say([{ type: 'output_text', text: 'Once' }]), stop, done], {
    end: 'stop',
    text: 'Once',
  }),
  shape(
    'content with a citation (Mistral)',
    [
      say([
        { type: 'text', text: 'Once' },
        { type: 'reference', reference_ids: [1] },
      ]),
      stop,
      done,
    ],
    { end: 'stop', text: 'Once' },
  ),
  shape(
    'thinking parts (Magistral)',
    [say([{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] }]), say('Once'), stop, done],
    { end: 'stop', text: 'Once', reasoning: 'Hm.' },
  ),
  shape(
    'content with an image',
    [say('Once'), say([{ type: 'image_url', image_url: { url: 'x' } }]), stop, done],
    { end: 'generation-failed', text: 'Once', message: /"image_url"/ },
  ),
  shape('images beside the content (OpenRouter)', [say('Once'), chunk({ images: [{}] }), stop, done], {
    end: 'generation-failed',
    text: 'Once',
    message: /"images"/,
  }),
  shape(
    'reasoning_content (DeepSeek, llama.cpp)',
    [
      chunk({ reasoning_content: 'Hm' }),
      chunk({ reasoning_content: '.', content: null }),
      say('Once'),
      stop,
      done,
    ],
    { end: 'stop', text: 'Once', reasoning: 'Hm.' },
  ),
  shape('reasoning (vLLM, Groq)', [chunk({ reasoning: 'Hm.' }), say('Once'), stop, done], {
    end: 'stop',
    text: 'Once',
    reasoning: 'Hm.',
  }),
  shape(
    'reasoning under three names (OpenRouter)',
    [
      chunk({
        content: '',
        reasoning: 'Hm.',
        reasoning_content: 'Hm.',
        reasoning_details: [{ type: 'reasoning.text', text: 'Hm.' }],
      }),
      say('Once'),
      stop,
      done,
    ],
    { end: 'stop', text: 'Once', reasoning: 'Hm.' },
  ),
  shape(
    'reasoning_details alone',
    [chunk({ reasoning_details: [{ type: 'reasoning.text', text: 'Hm.' }] }), say('Once'), stop, done],
    { end: 'stop', text: 'Once', reasoning: 'Hm.' },
  ),
  shape('only reasoning', [chunk({ reasoning_content: 'Hm.' }), chunk({}, 'length'), done], {
    end: 'length',
    reasoning: 'Hm.',
  }),
  shape('a refusal (OpenAI)', [chunk({ refusal: 'I ' }), chunk({ refusal: 'cannot.' }), stop, done], {
    end: 'stop',
    text: 'I cannot.',
  }),
  shape(
    'a tool call in deltas (OpenAI)',
    [
      callTool(call(0, 'a', 'look', '')),
      callTool(call(0, undefined, undefined, '{"at":')),
      callTool(call(0, undefined, undefined, '"Bern"}')),
      chunk({}, 'tool_calls'),
      done,
    ],
    { end: 'tool-calls', toolCalls: weather },
  ),
  shape(
    'a tool call with its id and name in each delta',
    [
      callTool(call(0, 'a', 'look', '{"at":')),
      callTool(call(0, 'a', 'look', '"Bern"}')),
      chunk({}, 'tool_calls'),
      done,
    ],
    { end: 'tool-calls', toolCalls: weather },
  ),
  shape(
    'two tool calls, interleaved',
    [
      callTool(call(0, 'a', 'look', '{"at":'), call(1, 'b', 'wait', '{}')),
      callTool(call(0, undefined, undefined, '"Bern"}')),
      chunk({}, 'tool_calls'),
      done,
    ],
    { end: 'tool-calls', toolCalls: [...weather, ['wait', '{}']] },
  ),
  shape(
    'two tool calls without numbers (Gemini)',
    [
      callTool(call(undefined, 'a', 'look', '{"at":"Bern"}')),
      callTool(call(undefined, 'b', 'wait', '{}')),
      stop,
      done,
    ],
    { end: 'tool-calls', toolCalls: [...weather, ['wait', '{}']] },
  ),
  shape(
    'two tool calls with the same number',
    [
      callTool(call(0, 'a', 'look', '{"at":"Bern"}')),
      callTool(call(0, 'b', 'wait', '{}')),
      chunk({}, 'tool_calls'),
      done,
    ],
    { end: 'tool-calls', toolCalls: [...weather, ['wait', '{}']] },
  ),
  shape(
    'tool calls without numbers and ids',
    [
      callTool(call(undefined, undefined, 'look', '{"at":"Bern"}'), call(undefined, undefined, 'wait', '{}')),
      chunk({}, 'tool_calls'),
      done,
    ],
    { end: 'tool-calls', toolCalls: [...weather, ['wait', '{}']] },
  ),
  shape(
    'a tool call whose arguments are an object (Ollama)',
    [callTool(call(0, 'a', 'look', { at: 'Bern' })), stop, done],
    { end: 'tool-calls', toolCalls: weather },
  ),
  shape(
    'a function call (OpenAI, before tools)',
    [
      chunk({ function_call: { name: 'look', arguments: '{"at":' } }),
      chunk({ function_call: { arguments: '"Bern"}' } }),
      chunk({}, 'function_call'),
      done,
    ],
    { end: 'tool-calls', toolCalls: weather },
  ),
  shape(
    'a custom tool (OpenAI)',
    [
      chunk({ tool_calls: [{ index: 0, id: 'a', type: 'custom', custom: { name: 'run', input: 'x = 1' } }] }),
      chunk({}, 'tool_calls'),
      done,
    ],
    { end: 'tool-calls', toolCalls: [['run', 'x = 1']] },
  ),
  shape(
    'text and a tool call',
    [say('I look.'), callTool(call(0, 'a', 'look', '{"at":"Bern"}')), chunk({}, 'tool_calls'), done],
    { end: 'tool-calls', text: 'I look.', toolCalls: weather },
  ),
  shape(
    'message in place of delta',
    [
      { choices: [{ index: 0, message: { content: 'Once' }, finish_reason: null }] },
      { choices: [{ index: 0, message: { content: ' upon' }, finish_reason: 'stop' }] },
      done,
    ],
    { end: 'stop', text: 'Once upon' },
  ),
  shape(
    'the whole message beside each delta (Perplexity)',
    [
      { choices: [{ index: 0, delta: { content: 'Once' }, message: { content: 'Once' } }] },
      {
        choices: [
          { index: 0, delta: { content: ' upon' }, message: { content: 'Once upon' }, finish_reason: 'stop' },
        ],
      },
      done,
    ],
    { end: 'stop', text: 'Once upon' },
  ),
  shape(
    'the whole message after the deltas',
    [
      say('Once'),
      say(' upon'),
      { choices: [{ index: 0, message: { content: 'Once upon' }, finish_reason: 'stop' }] },
      done,
    ],
    { end: 'stop', text: 'Once upon' },
  ),
  shape(
    'other choices',
    [
      ...words.flatMap((each) => [
        { choices: [{ index: 1, delta: { content: 'other' }, finish_reason: null }] },
        each,
      ]),
      { choices: [{ index: 1, delta: {}, finish_reason: 'length' }] },
      ...counted,
    ],
    complete,
  ),
  shape(
    'two choices in one chunk',
    [
      {
        choices: [
          { index: 1, delta: { content: 'other' }, finish_reason: 'stop' },
          { index: 0, delta: { content: 'Once' }, finish_reason: null },
        ],
      },
      stop,
      done,
    ],
    { end: 'stop', text: 'Once' },
  ),
  raw(
    'one JSON body instead of a stream',
    JSON.stringify(wholeAnswer),
    { ...complete, tokens: 3 },
    { contentType: 'application/json' },
  ),
  raw('one pretty JSON body', JSON.stringify(wholeAnswer, null, 2), complete, {
    contentType: 'application/json',
  }),
  shape(
    'a completion (vLLM)',
    [
      { choices: [{ index: 0, text: 'Once', finish_reason: null }] },
      { choices: [{ index: 0, text: ' upon', finish_reason: 'length' }] },
      done,
    ],
    { end: 'length', text: 'Once upon' },
  ),
]

const finish = (reason: string, end: AnswerEnd | ErrorCode, expected: Partial<WireShape['expected']> = {}) =>
  shape(`finish reason ${reason}`, [...words, chunk({}, reason), done], { end, text, ...expected })
const nullReasons = {
  end: 'connection-failed',
  text,
  message: /without a finish reason.*allowMissingFinishReason/,
} as const

/** How answers end. */
const ends: readonly WireShape[] = [
  ...['stop', 'eos', 'eos_token', 'end_turn', 'stop_sequence', 'STOP', 'COMPLETE'].map((reason) =>
    finish(reason, 'stop'),
  ),
  ...['length', 'max_tokens', 'MAX_TOKENS', 'model_length'].map((reason) => finish(reason, 'length')),
  ...['tool_calls', 'tool_use', 'function_call'].map((reason) => finish(reason, 'tool-calls')),
  ...['content_filter', 'SAFETY', 'refusal'].map((reason) => finish(reason, 'content-filter')),
  ...['abort', 'error', 'cancelled', 'insufficient_system_resource', 'network_error', 'something_new'].map(
    (reason) => finish(reason, 'generation-failed', { message: new RegExp(`finish reason "${reason}"`) }),
  ),
  shape('an interrupted answer (llama-cpp-python)', [head, ...words, done], nullReasons),
  shape(
    'an interrupted answer beside a finished choice',
    [
      ...words.map(({ choices: [choice] }) => ({ choices: [{ index: 0, delta: choice!.delta }] })),
      { choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] },
      done,
    ],
    nullReasons,
  ),
  shape('no finish reason, with allowMissingFinishReason', [head, ...words, done], uncounted, {
    allowMissingFinishReason: true,
  }),
  shape('no finish reason, but a final count', [head, ...words, usageChunk, done], complete),
  shape(
    'no finish reason, but a final count that reaches the limit',
    [head, ...words, usageChunk, done],
    { ...complete, end: 'length' },
    { maxTokens: 3 },
  ),
  shape(
    'a server without finish reasons',
    [...words.map(({ choices: [choice] }) => ({ choices: [{ index: 0, delta: choice!.delta }] })), done],
    uncounted,
  ),
  shape(
    'a server without finish reasons, without the terminator',
    words.map(({ choices: [choice] }) => ({ choices: [{ index: 0, delta: choice!.delta }] })),
    { end: 'connection-failed', text },
  ),
  shape('only the terminator', [done], { end: 'connection-failed', message: /"\[DONE\]" without an answer/ }),
  raw('nothing', '', { end: 'connection-failed', message: /incomplete/ }),
  shape('the connection closes after some words', [head, ...words], {
    end: 'connection-failed',
    text,
    message: /closed the stream before/,
  }),
]

const failure = (name: string, last: string, expected: Partial<WireShape['expected']> = {}): WireShape =>
  raw(name, write([head, words[0]!]) + last, {
    end: 'generation-failed',
    text: 'Once',
    message: /out of memory/,
    ...expected,
  })
const broken = { message: 'out of memory', type: 'server_error', code: 500 }

/** Failures in every dress, after some text. */
const failures: readonly WireShape[] = [
  failure('an error event (vLLM, OpenAI)', write([{ error: broken }, done])),
  failure('an error without a terminator', write([{ error: broken }])),
  failure('an error as a text', write([{ error: 'out of memory' }, done])),
  failure(
    'an error object (vLLM before 0.10)',
    write([{ object: 'error', message: 'out of memory', code: 50_000 }, done]),
  ),
  failure('an event named error with a message', 'event: error\ndata: {"message":"out of memory"}\n\n'),
  failure('an event named error with text', 'event: error\ndata: out of memory\n\n'),
  failure('an event named error, cut off', 'event: error\ndata: {"message":"out of memory'),
  failure(
    'an error of the type error (Anthropic)',
    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"out of memory"}}\n\n',
    { end: 'connection-failed' },
  ),
  failure('a field named error (llama.cpp)', `error: ${JSON.stringify(broken)}\n\n`),
  failure('a bare JSON line', `${JSON.stringify({ error: broken })}\n`),
  failure('a bare JSON line without its end', JSON.stringify({ error: broken })),
  failure('an error code (FastChat)', write([{ text: 'out of memory', error_code: 50_002 }, done])),
  failure(
    'an error in the choice (OpenRouter)',
    write([
      {
        choices: [
          {
            index: 0,
            delta: { content: '' },
            finish_reason: 'error',
            error: { code: 502, message: 'out of memory' },
          },
        ],
      },
      done,
    ]),
    { end: 'connection-failed' },
  ),
  failure(
    'an error beside the choices (OpenRouter)',
    write([
      {
        error: { code: 'server_error', message: 'out of memory' },
        choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
      },
      done,
    ]),
  ),
  failure('an error in an array (Gemini)', write([[{ error: { ...broken, status: 'INTERNAL' } }]])),
  failure(
    'a list of errors (Cloudflare)',
    write([{ success: false, errors: [{ code: 3040, message: 'out of memory' }] }]),
  ),
  failure(
    'a status in base_resp (MiniMax)',
    write([{ choices: null, base_resp: { status_code: 1013, status_msg: 'out of memory' } }]),
  ),
  failure('a detail (FastAPI)', write([{ detail: 'out of memory' }])),
  failure('a nested message', write([{ error: { error: { message: 'out of memory' } } }])),
  failure('an error after the finish reason', write([stop, { error: broken }, done])),
  failure('data that is not JSON', write(['not JSON', done]), {
    end: 'connection-failed',
    message: /invalid chunk/,
  }),
  failure('data that is a number', write(['5', done]), {
    end: 'connection-failed',
    message: /invalid chunk/,
  }),
  failure(
    'an error with the code of a long prompt',
    write([{ error: { message: 'out of memory', code: 'context_length_exceeded' } }]),
    { end: 'prompt-too-long' },
  ),
  failure(
    'an error with the code of a rate limit',
    write([{ error: { message: 'out of memory', type: 'rate_limit_error' } }]),
    { end: 'connection-failed' },
  ),
  failure(
    'an error with the code of a wrong option',
    write([{ error: { message: 'out of memory', type: 'invalid_request_error' } }]),
    { end: 'invalid-option' },
  ),
  raw(
    'a JSON error with status 200',
    JSON.stringify({ error: broken }),
    { end: 'generation-failed', message: /out of memory/ },
    { contentType: 'application/json; charset=utf-8' },
  ),
  raw(
    'a pretty JSON error with status 200',
    JSON.stringify({ error: broken }, null, 2),
    { end: 'generation-failed', message: /out of memory/ },
    { contentType: 'Application/JSON' },
  ),
  raw(
    'a text with status 200',
    'upstream is down',
    { end: 'connection-failed', message: /upstream is down/ },
    { contentType: 'text/plain' },
  ),
  raw(
    'a JSON body that is no answer',
    '{"hello":"world"}',
    { end: 'connection-failed', message: /hello/ },
    { contentType: 'application/json' },
  ),
  raw(
    'a web page with status 200',
    '<html>Sign in</html>',
    { end: 'connection-failed', message: /did not answer with an event stream/ },
    { contentType: 'text/html' },
  ),
]

const refusal = (
  name: string,
  status: number,
  body: object | string,
  end: ErrorCode,
  expectedWords = /./,
): WireShape =>
  raw(
    name,
    typeof body === 'string' ? body : JSON.stringify(body),
    { end, message: expectedWords },
    { status, contentType: typeof body === 'string' ? 'text/plain' : 'application/json' },
  )

/** Failures with their own status. */
const refusals: readonly WireShape[] = [
  refusal(
    '400 with a code of a long prompt (OpenAI)',
    400,
    { error: { message: 'Too much.', code: 'context_length_exceeded' } },
    'prompt-too-long',
    /Too much/,
  ),
  refusal(
    '400 with the type of a long prompt (llama.cpp)',
    400,
    {
      error: {
        code: 400,
        message: 'the request exceeds the available context size',
        type: 'exceed_context_size_error',
        n_prompt_tokens: 900,
        n_ctx: 512,
      },
    },
    'prompt-too-long',
  ),
  refusal(
    '400 with an object (vLLM before 0.10)',
    400,
    { object: 'error', message: "This model's maximum context length is 4096 tokens.", code: 400 },
    'prompt-too-long',
  ),
  refusal(
    '400 for an option',
    400,
    { error: { message: 'top_k must be positive', param: 'top_k' } },
    'invalid-option',
    /top_k must be positive/,
  ),
  refusal(
    '400 in an array (Gemini)',
    400,
    [{ error: { code: 400, message: 'API key not valid', status: 'INVALID_ARGUMENT' } }],
    'invalid-option',
    /API key not valid/,
  ),
  refusal(
    '401',
    401,
    { error: { message: 'Wrong key.', code: 'invalid_api_key' } },
    'connection-failed',
    /Wrong key\. Check the "apiKey"/,
  ),
  refusal('403 as text', 403, 'Forbidden', 'connection-failed', /Forbidden\. Check the "apiKey"/),
  refusal(
    '402 without credit (OpenRouter)',
    402,
    { error: { code: 402, message: 'Insufficient credits.' } },
    'connection-failed',
    /Insufficient credits/,
  ),
  refusal(
    '404 for a model (vLLM)',
    404,
    { error: { message: 'The model `x` does not exist.', type: 'NotFoundError', code: 404 } },
    'model-not-found',
  ),
  refusal(
    '404 for a path (FastAPI)',
    404,
    { detail: 'Not Found' },
    'connection-failed',
    /Check the "baseURL"/,
  ),
  refusal('413 (nginx)', 413, '<html>413 Request Entity Too Large</html>', 'prompt-too-long', /413/),
  refusal(
    '422 with details (FastAPI)',
    422,
    { detail: [{ loc: ['body', 'top_k'], msg: 'must be positive' }] },
    'invalid-option',
    /top_k/,
  ),
  refusal(
    '429 without quota (OpenAI)',
    429,
    {
      error: {
        message: 'You exceeded your current quota.',
        type: 'insufficient_quota',
        code: 'insufficient_quota',
      },
    },
    'connection-failed',
    /Check the account/,
  ),
  refusal(
    '500',
    500,
    { error: { message: 'Boom.', type: 'server_error' } },
    'connection-failed',
    /answered 500: Boom\./,
  ),
  refusal('502 (nginx)', 502, '<html>502 Bad Gateway</html>', 'connection-failed', /502/),
]

/** All shapes. The bodies with status 200 are also read when they are cut at any byte. */
export const wireShapes: readonly WireShape[] = [...dresses, ...contents, ...ends, ...failures, ...refusals]
