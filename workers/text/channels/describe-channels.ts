import type { OptionName } from '../../../lib/contract/option-table.js'
import { roles, textRoles } from '../../../lib/contract/request.js'
import type { ModelSupport } from '../../../lib/contract/worker-api.js'
import type { ChatTemplate } from '../chat-template.js'
import type { AnswerFamily } from './answer-family.js'
import { listReasoning } from './reasoning-control.js'
import { readTemplateShape } from './template-shape.js'

const toolOptions: readonly OptionName[] = ['tools', 'toolChoice', 'parallelToolCalls']

/** Returns what a model supports by its chat template: tools, reasoning, and the roles of messages. */
export function describeChannels(
  chatTemplate: ChatTemplate | undefined,
  family: AnswerFamily,
  options: readonly OptionName[],
): Pick<ModelSupport, 'roles' | 'options' | 'hints' | 'reasoning' | 'continuedChannels'> {
  const continuedChannels = ['text', 'reasoning', 'tool-calls'] as const
  if (!chatTemplate) {
    const hint = 'This model has no chat template. Give it one with the option "chatTemplate" of its backend.'
    const missing: readonly OptionName[] = [...toolOptions, 'reasoning']
    return {
      roles: textRoles,
      reasoning: [],
      options: options.filter((name) => !missing.includes(name)),
      hints: Object.fromEntries(missing.map((name) => [name, hint])),
      continuedChannels,
    }
  }
  const reasoning = listReasoning(family)
  const shape = readTemplateShape(chatTemplate)
  const canCall = family.kind === 'harmony' ? family.hasTools : family.calls !== undefined
  if (canCall) return { roles: shape.hasResults ? roles : textRoles, reasoning, options, continuedChannels }
  const hint = shape.hasTools
    ? "The model's chat template has tools, but writes their calls in an unknown way. Use another model, or a template of a known family."
    : 'The model\'s chat template has no tools. Use a model whose template writes the variable "tools", or set such a template with the option "chatTemplate" of its backend.'
  return {
    roles: textRoles,
    reasoning,
    options: options.filter((name) => !toolOptions.includes(name)),
    hints: Object.fromEntries(toolOptions.map((name) => [name, hint])),
    continuedChannels,
  }
}
