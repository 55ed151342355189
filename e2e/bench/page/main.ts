// The benchmark page: exposes the sections to `bench.ts`, which calls them from Node.
import { measureDecoding } from './decoding.js'
import { measureGpu } from './gpu.js'
import { measureLlamaCpp } from './llama-cpp.js'
import { measureLoad } from './load.js'
import { measureLogprobs } from './logprobs.js'
import { measureMemory } from './memory.js'
import type { Section } from './plan.js'
import { measureSessions } from './sessions.js'
import { measureStack } from './stack.js'
import { measureStore } from './store.js'
import { measureStructured } from './structured.js'
import { runInTab } from './tab.js'
import { measureTabs } from './tabs.js'
import { measureTogether } from './together.js'
import { measureTransports } from './transports.js'

const boundSecondTurn = (history: number) => ({ 2000: 0.1 })[history]

const llamaBounds: Partial<Record<number, number>> = { 64: 0.08, 512: 0.07, 2000: 0.05 }
/** The other architectures, at any context. */
const otherBounds: Partial<Record<string, number>> = { 'bench-qwen3-0.6b': 0.15, 'bench-lfm2-350m': 0.15 }

const sections = {
  host: measureDecoding({
    device: 'webgpu',
    mode: 'no-op',
    newTokens: 32,
    warmUpAt: 'every context',
    bounds: {
      msPerToken: (context, model) => otherBounds[model] ?? llamaBounds[context],
      ttft: (context) => ({ 2000: 0.08 })[context],
      secondTurn: boundSecondTurn,
      growth: 1.15,
      counts: { submits: 3, bindGroups: 0, buffers: 0, bytesReadBack: 8 },
    },
  }),
  gpu: measureGpu({ newTokens: 64 }),
  wasm: measureDecoding({
    device: 'wasm',
    mode: 'real',
    newTokens: 12,
    warmUpAt: 'first context',
    bounds: { msPerToken: () => 1.03, ttft: () => undefined, secondTurn: boundSecondTurn },
  }),
  load: measureLoad({ device: 'webgpu', mode: 'empty', bounds: { warm: 0.7, cold: 0.9 } }),
  'load-shaders': measureLoad({ device: 'webgpu', mode: 'no-op', bounds: {} }),
  'wasm-load': measureLoad({ device: 'wasm', mode: 'real', bounds: {} }),
  'host-stack': measureStack({ device: 'webgpu', mode: 'no-op', newTokens: 128 }),
  'gpu-stack': measureStack({ device: 'webgpu', mode: 'real', newTokens: 128 }),
  'wasm-stack': measureStack({ device: 'wasm', mode: 'real', newTokens: 24 }),
  'llama-cpp': measureLlamaCpp({ device: 'wasm', newTokens: 16 }),
  'llama-cpp-gpu': measureLlamaCpp({ device: 'webgpu', newTokens: 64 }),
  structured: measureStructured({ device: 'webgpu', mode: 'no-op', newTokens: 64 }),
  logprobs: measureLogprobs({ device: 'webgpu', mode: 'no-op', newTokens: 64 }),
  sessions: measureSessions({ device: 'wasm' }),
  'host-together': measureTogether({ device: 'webgpu', mode: 'no-op', newTokens: 256, bounds: { 4: 0.35 } }),
  'wasm-together': measureTogether({ device: 'wasm', mode: 'real', newTokens: 48, bounds: { 4: 0.5 } }),
  tabs: measureTabs({ device: 'wasm', mode: 'real' }),
  transports: measureTransports,
  store: measureStore,
  memory: measureMemory({ device: 'webgpu', mode: 'no-op' }),
} satisfies Record<string, Section>

export type SectionName = keyof typeof sections

declare global {
  interface Window {
    bench: Record<SectionName, Section>
  }
}

window.bench = sections
window.benchTab = runInTab
