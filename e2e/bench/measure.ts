import type { BrowserContext, Page } from '@playwright/test'
import { exposeBrowserMemory } from './browser-memory.js'
import { describeModel, isMeasured, readModel, type ModelName } from './models.js'
import type { SectionName } from './page/main.js'
import type { PacedFile, TransportServers } from './page/plan.js'
import type { Row } from './page/rows.js'
import { exposeTabs } from './tabs.js'
import type { BenchServer } from './serve.js'

/** The device for which each section loads weights. */
const devices = {
  host: 'webgpu',
  gpu: 'webgpu',
  wasm: 'wasm',
  load: 'webgpu',
  'load-shaders': 'webgpu',
  'wasm-load': 'wasm',
  'host-stack': 'webgpu',
  'gpu-stack': 'webgpu',
  'wasm-stack': 'wasm',
  'llama-cpp': 'wasm',
  'llama-cpp-gpu': 'wasm',
  structured: 'webgpu',
  logprobs: 'webgpu',
  sessions: 'wasm',
  'host-together': 'webgpu',
  'wasm-together': 'wasm',
  tabs: 'wasm',
  transports: 'wasm',
  store: 'wasm',
  memory: 'webgpu',
} satisfies Record<SectionName, 'webgpu' | 'wasm'>

export const sectionNames = Object.keys(devices) as SectionName[]

/** Where a benchmark runs. */
export interface BenchSite {
  readonly browser: BrowserContext
  /** The page's URL. It ends with a slash, and serves the models below `models/`. */
  readonly url: string
  /** Limits the rate of the page's server. */
  readonly setRate: BenchServer['setRate']
  /** The folder of the models. */
  readonly models: string
}

/** What is measured. */
export interface BenchPlan {
  readonly sections: readonly SectionName[]
  readonly models: readonly ModelName[]
  readonly rounds: number
  /** Prompt lengths in tokens, ascending. */
  readonly contexts: readonly number[]
  /** For the section `store`. */
  readonly file: PacedFile
  /** For the section `transports`. */
  readonly transports: TransportServers
}

/** Lists the sections with each of their models, in the order of measuring. */
export function listMeasurements({
  sections,
  models,
}: Pick<BenchPlan, 'sections' | 'models'>): [SectionName, ModelName][] {
  return sections.flatMap((section) =>
    models
      .filter((name) => isMeasured(section, readModel(name)))
      .map((name): [SectionName, ModelName] => [section, name]),
  )
}

/** Runs one section with one model in a new page, so that sections do not affect each other. */
export async function measure(
  { browser, url, models, setRate }: BenchSite,
  section: SectionName,
  name: ModelName,
  options: Pick<BenchPlan, 'rounds' | 'contexts' | 'file' | 'transports'>,
): Promise<Row[]> {
  const page = await openPage(browser, url)
  try {
    await exposeBrowserMemory(browser.browser()!, page)
    await exposeTabs(browser, url, page)
    await exposeNetwork(page, setRate)
    page.on('console', (message) => {
      if (message.type() === 'log') console.log(message.text())
    })
    const model = describeModel(models, url, name, devices[section])
    return await page.evaluate(({ section, plan }) => window.bench[section](plan), {
      section,
      plan: { ...options, section, model },
    })
  } finally {
    await page.close()
  }
}

/** Provides what the section `load` needs of the network. */
async function exposeNetwork(page: Page, setRate: BenchServer['setRate']): Promise<void> {
  const session = await page.context().newCDPSession(page)
  await page.exposeFunction('setServerRate', setRate)
  await page.exposeFunction('clearHttpCache', () => session.send('Network.clearBrowserCache'))
}

async function openPage(browser: BrowserContext, url: string): Promise<Page> {
  const page = await browser.newPage()
  await page.goto(url)
  await page.waitForFunction(() => 'bench' in window)
  return page
}

/** What the browser says of its GPU adapter. */
export interface Adapter {
  readonly name: string
  readonly isSoftware: boolean
  readonly features: readonly string[]
}

/** @returns undefined if the browser has no adapter */
export async function readAdapter(browser: BrowserContext, url: string): Promise<Adapter | undefined> {
  const page = await openPage(browser, url)
  try {
    return await page.evaluate(async () => {
      const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' })
      if (!adapter) return undefined
      const { vendor, architecture, description, isFallbackAdapter } = adapter.info
      const name = [vendor, architecture, description].filter(Boolean).join(' ')
      return {
        name,
        isSoftware: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(name),
        features: [...adapter.features],
      }
    })
  } finally {
    await page.close()
  }
}
