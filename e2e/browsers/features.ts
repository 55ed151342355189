// What is tested in each browser. core.spec.ts tests it; docs/guides/browsers.md has it as a table.
import type { BrowserName } from './driver.js'

interface Feature {
  /** Also the title of the test. */
  readonly name: string
  /** What the test needs in a browser. */
  readonly with?: Partial<Record<BrowserName, string>>
  /** Why the test cannot run in a browser. */
  readonly untestable?: Partial<Record<BrowserName, string>>
}

const browserTitles = {
  chromium: 'Chromium',
  firefox: 'Firefox ESR',
  webkit: 'WebKitGTK',
} as const satisfies Record<BrowserName, string>

/** `createSyncAccessHandle` rejects with `NotSupportedError`. WebKit has these handles only on Apple's systems. */
const noSyncHandles = 'WebKitGTK’s file system has no sync access handles, so models stay in memory'

export const features = {
  wasm: {
    name: '`onnx()` on WASM: loads, and its 48 greedy tokens equal the reference’s',
  },
  threads: {
    name: 'WASM uses threads in a cross-origin isolated page',
    with: { webkit: '`JSC_useSharedArrayBuffer=1`' },
  },
  webgpu: {
    name: '`onnx()` on WebGPU: its 48 greedy tokens equal the reference’s',
    with: {
      chromium: 'SwiftShader; lavapipe with 16-bit floats',
      firefox: '`dom.webgpu.enabled`, `gfx.webgpu.ignore-blocklist`, lavapipe',
    },
    untestable: { webkit: 'WebKitGTK has no WebGPU' },
  },
  llamaCpp: {
    name: '`llamaCpp()`: streams, cancels, and its greedy text equals the reference’s',
    with: { webkit: '`llamaCppCompat`' },
  },
  iteration: {
    name: 'streams work where the browser cannot iterate or transfer a `ReadableStream`',
    with: { chromium: 'the methods removed', firefox: 'the methods removed' },
  },
  store: {
    name: 'a stored model loads again without a download',
    untestable: { webkit: noSyncHandles },
  },
  resume: {
    name: 'a download continues after its tab was closed',
    untestable: { webkit: noSyncHandles },
  },
  route: {
    name: 'aborting, cancelling or removing the reading frame cancels the generation, and the route answers again',
  },
  serviceWorker: {
    name: 'a page with a service worker loads an engine again',
  },
  background: {
    name: 'an answer continues while another tab is in front',
    with: { chromium: 'visible pages; `demo-lab.spec.ts` hides one' },
  },
  return: {
    name: 'the page works after it was left and opened again',
  },
  demo: {
    name: 'the demo streams an answer, and its message field grows with the text',
  },
} as const satisfies Record<string, Feature>
export type FeatureName = keyof typeof features

/** Returns why a feature cannot be tested in a browser; undefined if it is tested. */
export function explainUntestable(name: FeatureName, browser: BrowserName): string | undefined {
  const { untestable }: Feature = features[name]
  return untestable?.[browser]
}

/** The table of docs/guides/browsers.md: a row for each feature, a column for each browser. */
export function tabulateFeatures(): string[][] {
  const browsers = Object.keys(browserTitles) as BrowserName[]
  const rows = (Object.values(features) as Feature[]).map((feature) =>
    [feature.name].concat(browsers.map((browser) => describeCell(feature, browser))),
  )
  return [['feature', ...Object.values(browserTitles)], ...rows]
}

function describeCell({ untestable, with: needs }: Feature, browser: BrowserName): string {
  const reason = untestable?.[browser]
  if (reason !== undefined) return `not testable here: ${reason}`
  const need = needs?.[browser]
  return need === undefined ? 'tested' : `tested with ${need}`
}
