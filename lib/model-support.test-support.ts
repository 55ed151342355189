import { optionNames } from './contract/option-table.js'
import { roles } from './contract/request.js'
import type { ModelSupport } from './contract/worker-api.js'

/** A model that takes everything; tests narrow it. */
export const allSupport: ModelSupport = {
  inputs: ['chat', 'text'],
  roles,
  options: optionNames,
  formats: ['json', 'json-schema', 'regex', 'grammar'],
  reasoning: ['on', 'off', 'budget'],
  continuation: true,
  seededContinuation: false,
  concurrency: 1,
  tokenCounting: true,
  prefill: true,
  keptPrefixes: false,
}
