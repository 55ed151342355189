import { expect, it } from 'vitest'
import { isNetworkFailure } from './network-failure.js'

it.each([
  'Failed to fetch',
  'Failed to fetch dynamically imported module: https://a.example/wllama.js',
  'Load failed',
  'Load failed (cdn.example)',
  'Importing a module script failed.',
  'NetworkError when attempting to fetch resource.',
  'error loading dynamically imported module: https://a.example/wllama.js',
])('"%s" is a failed download', (message) => expect(isNetworkFailure(message)).toBe(true))

it.each(['HTTP status code is not ok', 'unknown model architecture', 'WebAssembly.Module doesn’t parse'])(
  '"%s" is none',
  (message) => expect(isNetworkFailure(message)).toBe(false),
)
