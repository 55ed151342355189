import { useLayoutEffect } from 'preact/hooks'
import type { Answer, ChatToolCall } from 'rivulet/chat'
import { Icon } from '../app/icons.js'
import { isBeingWritten } from '../chat/answer-text.js'
import type { WrittenAnswer } from '../chat/reasoning.js'
import { toolTitles } from './tools.js'

interface ToolRoundsProps {
  readonly answer: Answer
  readonly written: Pick<WrittenAnswer, 'rounds'>
  /** Called after every change of the visible text. */
  readonly onDraw: () => void
}

/** The tool calls before an answer: each with its arguments as they stream, and its result. Nothing if there are none. */
export function ToolRounds({ answer, written, onDraw }: ToolRoundsProps) {
  const rounds = isBeingWritten(answer) ? written.rounds.value : (answer.rounds ?? [])
  useLayoutEffect(onDraw)
  return (
    <>
      {rounds.map(({ text, reasoning, calls }, index) => (
        <div key={index} class="tool-round">
          {reasoning !== undefined && (
            <details class="reasoning">
              <summary>Reasoning</summary>
              <p class="plain-text" dir="auto">
                {reasoning.trim()}
              </p>
            </details>
          )}
          {text.trim() !== '' && (
            <p class="plain-text" dir="auto">
              {text.trim()}
            </p>
          )}
          <ul class="tool-calls" aria-label="Tool calls">
            {calls.map((call, at) => (
              <ToolCall key={at} call={call} />
            ))}
          </ul>
        </div>
      ))}
    </>
  )
}

const stateLabels = {
  streaming: 'The model writes the call…',
  running: 'Running…',
  finished: 'Result',
  failed: 'Failed',
} satisfies Record<ChatToolCall['state']['kind'], string>

/** What the model wrote and what the tool returned are text, never markup. */
function ToolCall({ call: { name, arguments: args, state } }: { readonly call: ChatToolCall }) {
  const result = state.kind === 'finished' ? state.result : state.kind === 'failed' ? state.message : ''
  return (
    <li class={`tool-call ${state.kind}`}>
      <p class="tool-name">
        <Icon name="tool" /> {toolTitles.get(name) ?? name}
      </p>
      <code class="tool-arguments">{args}</code>
      <p class="tool-state">
        {stateLabels[state.kind]}
        {result !== '' && (
          <>
            : <span class="tool-result">{result}</span>
          </>
        )}
      </p>
    </li>
  )
}
