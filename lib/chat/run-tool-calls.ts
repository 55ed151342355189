import type { ChatTool, ChatToolCall, ToolCallState } from '../chat.js'
import { describeError } from '../contract/errors.js'
import { describeIssues, isStandardSchema } from '../standard-schema.js'

/** Why a call has no result after the answer was stopped. */
export const stoppedCall = {
  kind: 'failed',
  message: 'The answer was stopped.',
} as const satisfies ToolCallState

/**
 * Runs the calls of one round at the same time. Runs only functions of `tools`, and only with valid arguments. A function that
 * throws, arguments that are not valid and unknown names are the state `failed`, whose message the model reads.
 * @param signal is passed to the functions. When it aborts, running calls fail at once, even if their functions ignore it
 * @param onChange called with all calls, whenever a call has changed
 */
export async function runToolCalls(
  calls: readonly ChatToolCall[],
  tools: readonly ChatTool[],
  signal: AbortSignal,
  onChange: (calls: readonly ChatToolCall[]) => void,
): Promise<void> {
  let current = calls.map((call): ChatToolCall => ({ ...call, state: { kind: 'running' } }))
  onChange(current)
  const stopping = new AbortController()
  const stopped = new Promise<ToolCallState>((resolve) => {
    if (signal.aborted) resolve(stoppedCall)
    signal.addEventListener('abort', () => resolve(stoppedCall), { signal: stopping.signal })
  })
  await Promise.all(
    calls.map(async (call, index) => {
      const state = await Promise.race([stopped, runCall(call, tools, signal)])
      current = current.with(index, { ...call, state })
      onChange(current)
    }),
  )
  stopping.abort()
}

async function runCall(
  { id, name, arguments: text }: ChatToolCall,
  tools: readonly ChatTool[],
  signal: AbortSignal,
): Promise<ToolCallState> {
  const tool = tools.find((each) => each.name === name)
  if (!tool) return { kind: 'failed', message: `There is no tool "${name}".` }
  try {
    const { parameters } = tool
    let input = readArguments(text)
    if (isStandardSchema(parameters)) {
      const checked = await parameters['~standard'].validate(input)
      if (checked.issues) {
        return { kind: 'failed', message: `The arguments are not valid: ${describeIssues(checked.issues)}` }
      }
      input = checked.value
    }
    if (signal.aborted) return stoppedCall
    return { kind: 'finished', result: writeResult(await tool.run(input, { signal, callId: id })) }
  } catch (error) {
    return { kind: 'failed', message: describeError(error) }
  }
}

function readArguments(text: string): unknown {
  let input: unknown
  try {
    input = JSON.parse(text.trim() || '{}')
  } catch (error) {
    throw new Error(`The arguments are not valid JSON: ${describeError(error)}`, { cause: error })
  }
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input
  throw new Error('The arguments must be an object.')
}

/** Returns a result as the text that the model reads. */
function writeResult(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
