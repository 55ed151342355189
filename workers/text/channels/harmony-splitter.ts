import { harmony } from './answer-family.js'
import type { SplitterOptions } from './create-answer-splitter.js'
import { createMarkLexer, type Unit } from './mark-lexer.js'
import { createPartCollector, type AnswerSplitter } from './split-answer.js'

/** The maximum length of a message's header: author, recipient, channel and format. */
const maxHeaderLength = 256

type HarmonyOptions = Pick<SplitterOptions, 'isControl' | 'tools' | 'startsInThought'> & {
  readonly startsInText: boolean
  readonly createId: () => string
  readonly firstCall: number
}

type Body = 'text' | 'reasoning' | 'call'

/**
 * Creates the splitter of gpt-oss's answers. The channel `analysis` is reasoning, `final` is text, and `commentary` is a tool
 * call if it has a recipient, and otherwise text: it is meant for the user.
 * https://cookbook.openai.com/articles/openai-harmony
 */
export function createHarmonySplitter(options: HarmonyOptions): AnswerSplitter {
  const collector = createPartCollector(options.createId, options.firstCall)
  const lexer = createMarkLexer(Object.values(harmony), options.isControl)
  /** The header of the next message; undefined inside a body. The prompt ends with `<|start|>assistant`. */
  let header: string | undefined = options.startsInThought || options.startsInText ? undefined : ''
  let body: Body = options.startsInThought ? 'reasoning' : 'text'

  function startBody(text: string): void {
    const recipient = /to=\s*(?:functions\.)?([\w.-]{1,64})/.exec(text)?.[1]
    const channel = text.includes(harmony.channel) ? text.split(harmony.channel).at(-1)!.trim() : 'final'
    header = undefined
    body = channel.startsWith('analysis') ? 'reasoning' : 'text'
    if (recipient !== undefined && recipient !== 'user' && options.tools.length > 0) {
      body = 'call'
      collector.startCall(recipient)
    }
  }

  function readHeader(text: string, isMark: boolean): void {
    const isEnd = isMark && text === harmony.message
    const isOver = isMark && (text === harmony.end || text === harmony.call || text === harmony.return)
    header += text
    if (isEnd) {
      collector.add('mark', header!)
      startBody(header!.slice(0, -text.length))
    } else if (isOver) {
      collector.add('mark', header!)
      header = ''
    } else if (header!.length > maxHeaderLength) refuseHeader()
  }

  /** What has no end of a header is text. */
  function refuseHeader(): void {
    const text = header ?? ''
    header = undefined
    body = 'text'
    collector.add('text', text)
  }

  function readBody(text: string, isMark: boolean): void {
    if (isMark && text !== harmony.message && text !== harmony.constrain) {
      // A message can start with its channel: then this mark is the first of its header.
      header = text === harmony.channel ? text : ''
      if (header === '') collector.add('mark', text)
      return
    }
    if (isMark) collector.add('mark', text)
    else if (body === 'call') {
      collector.add('mark', text)
      collector.addArguments(text)
    } else collector.add(body, text)
  }

  function readUnit({ kind, text }: Unit): void {
    const isMark = kind === 'mark'
    if (kind === 'control') {
      if (header === undefined && body === 'text') collector.addControl(text)
    } else if (header === undefined) readBody(text, isMark)
    else readHeader(text, isMark)
  }

  function read(units: readonly Unit[]) {
    for (const unit of units) readUnit(unit)
    return collector.take()
  }

  return {
    push: (text) => read(lexer.push(text)),
    pushControl: (token) => read(lexer.pushControl(token)),
    flush() {
      for (const unit of lexer.flush()) readUnit(unit)
      if (header !== undefined) {
        // An unfinished header between messages is a mark; an answer without any header is text.
        if (/[<|]/.test(header) || header.trim() === '') collector.add('mark', header)
        else refuseHeader()
      }
      return collector.take()
    },
    get channel() {
      if (header !== undefined || body === 'text') return 'text'
      return body === 'reasoning' ? 'reasoning' : 'tool-calls'
    },
    get calls() {
      return collector.calls
    },
  }
}
