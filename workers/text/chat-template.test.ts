import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ChatMessage } from '../../lib/contract/request.js'
import { createChatTemplate, type PromptPart } from './chat-template.js'

const user = (content: string): ChatMessage => ({ role: 'user', content })
const system = (content: string): ChatMessage => ({ role: 'system', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })

/** Abbreviates parts: contents as arrays, text of the template as strings. */
function abbreviate(parts: readonly PromptPart[]): (string | readonly [string])[] {
  return parts.map(({ text, isContent }) => (isContent ? [text] : text))
}

function renderParts(template: string, messages: readonly ChatMessage[], tokens = {}, variables = {}) {
  return createChatTemplate(new Map([['default', template]]), tokens).render(messages, variables)
}

function render(template: string, messages: readonly ChatMessage[], tokens = {}, variables = {}) {
  return abbreviate(renderParts(template, messages, tokens, variables))
}

const failure = (message: unknown) =>
  expect.objectContaining({ name: 'RivuletError', code: 'chat-template-failed', message })

const plain = '{% for message in messages %}<{{ message.role }}>{{ message.content }}</>{% endfor %}'

describe('the content of a message', () => {
  it.each([
    "$& $1 $$ $` $' \\1",
    '{{ messages }} {% for x in y %} {# comment #} {%- raw -%}',
    '<user>"\'\\n&amp;</user>',
    'a\r\n\tb\u0000c',
    '\uFFFF\uFFFE\uD800',
    '0',
  ])('stays unchanged: %j', (text) => {
    expect(render(plain, [user(text)])).toEqual(['<user>', [text], '</>'])
  })

  it('keeps its white space if the template does not trim', () => {
    const parts = renderParts(plain, [user(' \n a  b \t')])
    expect(parts.map(({ text }) => text).join('')).toBe('<user> \n a  b \t</>')
  })

  it('loses its surrounding white space if the template trims', () => {
    const template = '{% for message in messages %}[{{ message.content | trim }}]{% endfor %}'
    expect(render(template, [user(' \n a  b \t')])).toEqual(['[', ['a  b'], ']'])
    expect(render(template.replace('| trim', '.strip()'), [user(' a ')])).toEqual(['[', ['a'], ']'])
  })

  it('goes through the template unchanged if it is empty or white space', () => {
    expect(render(plain, [user(''), user(' \n')])).toEqual(['<user></><user>', [' \n'], '</>'])
    expect(render('{% if not messages[0].content %}empty{% endif %}', [user('')])).toEqual(['empty'])
  })

  it('is not confused with another one', () => {
    const messages = Array.from({ length: 12 }, (_, index) => user(`number ${index}`))
    const contents = render('{% for m in messages | reverse %}{{ m.content }},{% endfor %}', messages)
    expect(contents.filter((part) => typeof part !== 'string').flat()).toEqual(
      messages.map(({ content }) => content).toReversed(),
    )
  })

  it('can be rendered twice or not at all', () => {
    const template = '{{ messages[1].content }}{{ messages[1].content }}'
    expect(render(template, [user('a'), user('b')])).toEqual([['bb']])
  })
})

describe('templates in the style of', () => {
  it('Llama 3', () => {
    const template =
      '{% set loop_messages = messages %}{% for message in loop_messages %}' +
      "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'" +
      " + message['content'] | trim + '<|eot_id|>' %}" +
      '{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}' +
      "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    expect(render(template, [system('Be kind.'), user(' Hi. ')], { bos_token: '<|begin_of_text|>' })).toEqual(
      [
        '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n',
        ['Be kind.'],
        '<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n',
        ['Hi.'],
        '<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
      ],
    )
  })

  it('ChatML (Qwen, SmolLM2), which adds a system message', () => {
    const template =
      "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}" +
      "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}" +
      "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    expect(render(template, [user('Hi<|im_end|>'), assistant('Yes?'), user('Bye')])).toEqual([
      '<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n',
      ['Hi<|im_end|>'],
      '<|im_end|>\n<|im_start|>assistant\n',
      ['Yes?'],
      '<|im_end|>\n<|im_start|>user\n',
      ['Bye'],
      '<|im_end|>\n<|im_start|>assistant\n',
    ])
    expect(render(template, [system('Be brief.')])).toEqual([
      '<|im_start|>system\n',
      ['Be brief.'],
      '<|im_end|>\n<|im_start|>assistant\n',
    ])
  })

  const gemma =
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}" +
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}" +
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}" +
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}" +
    "{% else %}{% set role = message['role'] %}{% endif %}" +
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"

  it('Gemma', () => {
    expect(render(gemma, [user('Hi\n'), assistant('Yes?'), user('Bye')], { bos_token: '<bos>' })).toEqual([
      '<bos><start_of_turn>user\n',
      ['Hi'],
      '<end_of_turn>\n<start_of_turn>model\n',
      ['Yes?'],
      '<end_of_turn>\n<start_of_turn>user\n',
      ['Bye'],
      '<end_of_turn>\n<start_of_turn>model\n',
    ])
  })

  it('Mistral, which puts the system message into the last user message', () => {
    const template =
      "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}" +
      '{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}\n' +
      '{{- bos_token }}\n' +
      '{%- for message in loop_messages %}\n' +
      "    {%- if message['role'] == 'user' %}\n" +
      '        {%- if loop.last and system_message is defined %}\n' +
      "            {{- '[INST] ' + system_message + '\n\n' + message['content'] + ' [/INST]' }}\n" +
      '        {%- else %}\n' +
      "            {{- '[INST] ' + message['content'] + ' [/INST]' }}\n" +
      '        {%- endif %}\n' +
      '    {%- else %}\n' +
      "        {{- ' ' + message['content'] + eos_token }}\n" +
      '    {%- endif %}\n' +
      '{%- endfor %}'
    const tokens = { bos_token: '<s>', eos_token: '</s>' }
    expect(
      render(template, [system('Be kind.'), user('Hi'), assistant('Yes?'), user('Bye')], tokens),
    ).toEqual([
      '<s>[INST] ',
      ['Hi'],
      ' [/INST] ',
      ['Yes?'],
      '</s>[INST] ',
      ['Be kind.'],
      '\n\n',
      ['Bye'],
      ' [/INST]',
    ])
  })

  it('Gemma, which refuses messages with its own error texts', () => {
    const tokens = { bos_token: '<bos>' }
    expect(() => render(gemma, [system('Be kind.')], tokens)).toThrow(
      failure(expect.stringContaining('System role not supported')),
    )
    expect(() => render(gemma, [user('a'), user('b')], tokens)).toThrow(
      failure(expect.stringContaining('roles must alternate')),
    )
  })
})

describe('a template that would run forever or fill the memory', () => {
  const grow = (step: string, rounds = 40) =>
    `{% set ns = namespace(v=start) %}{% for i in range(${rounds}) %}{% set ns.v = ${step} %}{% endfor %}`
  const text = (step: string, rounds?: number) => grow(step, rounds).replace('start', "'x'")
  const list = (step: string, rounds?: number) => grow(step, rounds).replace('start', '[1]')
  // Without limits, the worst of these take hours or all memory.
  afterEach(() => vi.restoreAllMocks())
  /** The limit is 1.5 s. The rest is for a busy machine, which may not look at the clock in time. */
  const maxMs = 4000
  const numbers = Array.from({ length: 40 }, (_, number) => number)

  it.each([
    ['a long range', '{% for i in range(100000000) %}x{% endfor %}'],
    ['a range that counts down', '{% for i in range(100000000, 0, -1) %}x{% endfor %}'],
    ['a range without end', '{% for i in range(0, 1, 0) %}x{% endfor %}'],
    ['a range with a text as its length', "{% for i in range('many') %}x{% endfor %}"],
    ['nested ranges', '{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}'],
    [
      'nested ranges with an empty body',
      '{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}',
    ],
    [
      'nested loops over one list with an empty body',
      '{% set r = range(9999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}',
    ],
    [
      'nested loops that filter one list',
      '{% set r = range(9999) %}{% for i in r %}{% for j in r if false %}{% endfor %}{% endfor %}',
    ],
    [
      'nested loops over the keys of one object with an empty body',
      `{% set o = {${numbers.map((n) => `'${n}': ${n}`).join()}} %}` +
        `${'{% for k in o %}'.repeat(8)}${'{% endfor %}'.repeat(8)}`,
    ],
    ['a text that doubles', text('ns.v + ns.v')],
    ['a text that doubles with the other operator', text('ns.v ~ ns.v')],
    ['a list that doubles', list('ns.v + ns.v')],
    ['a list that contains itself twice, as text', `${list('[ns.v, ns.v]')}{{ ns.v }}`],
    ['a list that contains itself twice, as JSON', `${list('[ns.v, ns.v]')}{{ ns.v | tojson }}`],
    ['an object that contains itself twice', `${list("{'a': ns.v, 'b': ns.v}")}{{ ns.v | tojson }}`],
    [
      'forty namespaces, each twice in a list of the previous one',
      `${numbers.map((n) => `{% set n${n} = namespace() %}`).join('')}${numbers
        .slice(1)
        .map((n) => `{% set n${n - 1}.a = [n${n}, n${n}] %}`)
        .join('')}{{ n0 }}`,
    ],
    [
      'namespaces that contain each other',
      '{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}{% set b.x = a %}{{ a }}',
    ],
    [
      'a filter on a long text in a long loop',
      `${text('ns.v + ns.v', 19)}{% for i in range(9999) %}{% set y = ns.v | upper %}{% endfor %}`,
    ],
    ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
    [
      'a macro that calls itself twice',
      '{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    ],
    ['a huge indent', "{{ 'a\nb' | indent(1000000000) }}"],
  ])('is stopped: %s', (_, template) => {
    // Stands in for the clock: it runs 50 times as fast or more, so that the test does not wait for each time limit.
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 50))
    expect(() => render(template, [user('Hi')])).toThrow(
      failure(expect.stringMatching(/chat template failed: ./)),
    )
  })

  it.each([
    ['loops without end', `${'{% for i in range(100000) %}'.repeat(4)}x${'{% endfor %}'.repeat(4)}`],
    ['a recursion without end', '{% macro f(n) %}{{ f(n) if n else 1 }}{{ f(n) }}{% endmacro %}{{ f(0) }}'],
    ['a list that doubles', list('ns.v + ns.v')],
    ['a list that contains itself twice', `${list('[ns.v, ns.v]')}{{ ns.v | tojson }}`],
    [
      'a search in a long text',
      `${text('ns.v + ns.v', 23)}{% for i in range(99999) %}{% if 'y' in ns.v %}{% endif %}{% endfor %}`,
    ],
    [
      'a number of a million digits',
      "{{ ('1' * 1000000 ~ 'x') | float }}{{ ('1' * 1000000 ~ 'x') | int }}{{ raise_exception('end') }}",
    ],
    [
      'a split of many words',
      "{% set t = 'a ' * 200000 %}{% set t = t.rsplit(none, 199999) %}{% set t = ('ab' * 200000).rsplit('b', 199999) %}{{ raise_exception('end') }}",
    ],
    [
      'a strip of a million characters',
      "{% set t = 'a' * 1000000 %}{% set t = t.strip(t) ~ t.strip('b' * 1000000 ~ 'a') %}{{ raise_exception('end') }}",
    ],
    [
      'a sort of long texts',
      "{% set t = 'a' * 1000000 %}{% set l = [t ~ 'b'] * 10000 %}{% set s = l | sort(case_sensitive=true) %}{% set s = l | sort(case_sensitive=true) %}{{ raise_exception('end') }}",
    ],
    [
      'a lookup of a long key',
      "{% set t = 'a' * 1000000 %}{% set d = {t: 1} %}{% for i in range(99999) %}{% set x = d[t ~ i] %}{% endfor %}{{ raise_exception('end') }}",
    ],
    ['a key that contains itself twice', `${text('(ns.v, ns.v)')}{{ {ns.v: 1} }}`],
    [
      'a number that grows',
      '{% set ns = namespace(v=7) %}{% for i in range(99) %}{% set ns.v = ns.v * ns.v %}{% endfor %}',
    ],
    ['a huge power', '{{ 7 ** 99999999 }}'],
    [
      'a long text in a long loop',
      `${text('ns.v + ns.v', 19)}{% for i in range(9999) %}{% set y = ns.v | upper %}{% endfor %}`,
    ],
  ])('ends within seconds by the real clock: %s', (_, template) => {
    const startedAt = performance.now()
    expect(() => render(template, [user('Hi')])).toThrow(failure(expect.any(String)))
    expect(performance.now() - startedAt).toBeLessThan(maxMs)
  })
})

describe('a template', () => {
  it.each([
    "{{ ''.constructor }}",
    "{{ ''.constructor.constructor('return 1')() }}",
    "{{ ''['__proto__'] }}",
    '{{ messages.constructor }}',
    '{{ messages[0].__proto__ }}',
    "{{ messages[0]['constructor'] }}",
    '{{ range.constructor }}',
    '{{ raise_exception.__globals__ }}',
    '{{ constructor }}{{ __proto__ }}{{ globalThis }}{{ process }}{{ fetch }}',
  ])('cannot access JavaScript: %s', (template) => {
    let written: unknown
    try {
      written = render(template, [user('Hi')])
    } catch (error) {
      expect(error).toMatchObject({ code: 'chat-template-failed' })
      written = []
    }
    expect(written).toEqual([])
  })

  it('with a syntax error or an unknown filter fails with a message', () => {
    expect(() => render('{% for %}', [user('Hi')])).toThrow(failure(expect.any(String)))
    expect(() => render("{{ 'a' | nonsense }}", [user('Hi')])).toThrow(
      failure(expect.stringContaining('nonsense')),
    )
  })

  it('that raises an exception fails with that exception as cause', () => {
    expect(() => render("{{ raise_exception('No tools.') }}", [user('Hi')])).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ message: 'No tools.' }) }),
    )
  })

  it('has the range() of Python', () => {
    const write = (range: string) =>
      render(`{% for i in ${range} %}{{ i }},{% endfor %}`, [user('Hi')]).join('')
    expect(write('range(3)')).toBe('0,1,2,')
    expect(write('range(2, 5)')).toBe('2,3,4,')
    expect(write('range(0, 7, 3)')).toBe('0,3,6,')
    expect(write('range(3, 0, -1)')).toBe('3,2,1,')
    expect(write('range(3, 0)')).toBe('')
  })

  it('gets the variables of transformers', () => {
    const names = ['add_generation_prompt', 'tools', 'documents', 'eos_token', 'bos_token', 'date_string']
    const template = names.map((name) => `{{ ${name} }},{{ ${name} is defined }};`).join('')
    expect(render(template, [user('Hi')], { bos_token: '<s>' })).toEqual([
      'True,True;None,True;None,True;,False;<s>,True;,False;',
    ])
  })
})

describe('the date in a template', () => {
  afterEach(() => vi.useRealTimers())

  it('is the current date, in the formats that templates use', () => {
    vi.useFakeTimers({ now: new Date(2024, 6, 5, 9, 3, 7), toFake: ['Date'] })
    const write = (format: string) => render(`{{ strftime_now('${format}') }}`, [user('Hi')])
    // Llama 3.2
    expect(write('%d %b %Y')).toEqual(['05 Jul 2024'])
    expect(write('%Y-%m-%d %H:%M:%S')).toEqual(['2024-07-05 09:03:07'])
    expect(write('%A, %B; %a')).toEqual(['Friday, July; Fri'])
    expect(write('100% %Q')).toEqual(['100% %Q'])
  })
})
