import { listOptions, type OptionName } from '../../lib/contract/option-table.js'
import type { ModelSupport } from '../../lib/contract/worker-api.js'
import { describeChannels } from '../text/channels/describe-channels.js'
import type { ModelConfig } from './model-config.js'

/** The options that need a grammar engine. Without one, a model can call tools, but nothing holds the form of its calls. */
const engineOptions: readonly OptionName[] = ['responseFormat', 'toolChoice', 'parallelToolCalls']

/** Returns what a model supports by its chat template and by the grammar engine of its worker. */
export function describeOptions(
  { chatTemplate, family }: ModelConfig,
  hasEngine: boolean,
): Pick<ModelSupport, 'roles' | 'options' | 'hints' | 'formats' | 'reasoning' | 'continuedChannels'> {
  const channels = describeChannels(chatTemplate, family, listOptions('onnx'))
  if (hasEngine) return { ...channels, formats: ['json', 'json-schema', 'regex', 'grammar'] }
  const hint =
    'Install @mlc-ai/web-xgrammar and pass onnx({ grammar: xgrammar() }), with xgrammar from "rivulet/xgrammar".'
  return {
    ...channels,
    options: channels.options.filter((name) => !engineOptions.includes(name)),
    formats: [],
    hints: { ...Object.fromEntries(engineOptions.map((name) => [name, hint])), ...channels.hints },
  }
}
