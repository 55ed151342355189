import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { chromium, type BrowserContext, type Page } from '@playwright/test'
import { chooseLaunchOptions } from '../../scripts/chromium.mjs'
import { countWeightBytes, modelNames, prepareModels, type PreparedModel } from './models.js'
import {
  createContent,
  sha256,
  startFaultServer,
  type FaultServer,
} from '../../workers/store/fault-server.test-support.js'
import type { SectionName } from './page/main.js'
import type { PacedFile } from './page/plan.js'
import type { Row } from './page/rows.js'
import { ensureTransformers, readVersion } from './peer.js'
import { exposeBrowserMemory } from './browser-memory.js'
import { serveBenchPage } from './serve.js'
import { formatTable } from './table.js'

const root = resolve(import.meta.dirname, '../..')
const resultsFile = join(root, '.cache/bench/results.json')

/** The device for which each section loads weights. */
const devices = {
  host: 'webgpu',
  gpu: 'webgpu',
  wasm: 'wasm',
  'host-stack': 'webgpu',
  'gpu-stack': 'webgpu',
  'wasm-stack': 'wasm',
  'llama-cpp': 'wasm',
  store: 'wasm',
  memory: 'webgpu',
} satisfies Record<SectionName, 'webgpu' | 'wasm'>

/** The `gpu` sections need a graphics card: a software adapter takes minutes, and its times say nothing about a GPU. */
const defaultSections = (Object.keys(devices) as SectionName[]).filter(
  (section) => !section.startsWith('gpu') || process.env.RIVULET_GPU === 'hardware',
)

/** The options of `npm run bench`. An empty list selects the defaults. */
export interface BenchOptions {
  readonly rounds: number
  /** Prompt lengths in tokens, ascending. */
  readonly contexts: readonly number[]
  readonly sections: readonly string[]
  readonly models: readonly string[]
}

/** Runs the sections, prints the table and writes `.cache/bench/results.json`. */
export async function runBench({ rounds, contexts, ...chosen }: BenchOptions): Promise<void> {
  const sections = choose('section', Object.keys(devices) as SectionName[], chosen.sections, defaultSections)
  const models = prepareModels(choose('model', modelNames, chosen.models, modelNames))
  const versions = readVersions()
  const server = await serveBenchPage()
  // With a profile on disk: without one, the browser keeps stored files in memory.
  const browser = await chromium.launchPersistentContext('', chooseLaunchOptions())
  const fileServer = await startFaultServer()
  const file = servePacedFile(fileServer)
  const rows: Row[] = []
  try {
    const machine = await describeMachine(browser, server.url)
    for (const section of sections) {
      for (const model of models) {
        if (model.only && !model.only.includes(section)) continue
        rows.push(...(await measure(browser, server.url, section, model, { rounds, contexts, file })))
        // After each section, because a later one may fail.
        writeResults({ machine, versions, options: { rounds, contexts, sections }, rows })
      }
    }
    const missed = rows.filter(({ isMet }) => isMet === false)
    console.log(`\n${formatTable(rows)}\n`)
    console.log(
      `Missed bounds: ${missed.length}. Machine: ${machine.processor}, ${machine.cores} cores; ${machine.adapter}.`,
    )
    console.log(`Results written to ${resultsFile}`)
  } finally {
    await browser.close()
    await server.close()
    await fileServer.close()
  }
}

/** A fast home connection. */
const fileBytesPerSecond = 40 * 2 ** 20

function servePacedFile(server: FaultServer): PacedFile {
  const bytes = createContent(64 * 2 ** 20)
  server.files.set('weights.bin', { bytes, faults: [] })
  server.bytesPerSecond = fileBytesPerSecond
  const description = `${bytes.length / 2 ** 20} MiB at ${fileBytesPerSecond / 2 ** 20} MiB/s, with hash verification`
  return { url: server.url, path: 'weights.bin', sha256: sha256(bytes), description }
}

function writeResults(results: object): void {
  const date = new Date().toISOString()
  writeFileSync(resultsFile, JSON.stringify({ date, ...results }, undefined, 1) + '\n')
}

function choose<Name extends string>(
  kind: string,
  all: readonly Name[],
  chosen: readonly string[],
  defaults: readonly Name[],
): readonly Name[] {
  const unknown = chosen.find((name) => !all.some((known) => known === name))
  if (unknown !== undefined)
    throw new Error(`Unknown ${kind} "${unknown}". Use one or more of: ${all.join(', ')}.`)
  return chosen.length === 0 ? defaults : all.filter((name) => chosen.includes(name))
}

/** Runs one section with one model in a new page, so that sections do not affect each other. */
async function measure(
  browser: BrowserContext,
  url: string,
  section: SectionName,
  { name, dtypes, gguf }: PreparedModel,
  options: Pick<BenchOptions, 'rounds' | 'contexts'> & { readonly file: PacedFile },
): Promise<Row[]> {
  const page = await openPage(browser, url)
  await exposeBrowserMemory(browser.browser()!, page)
  page.on('console', (message) => {
    if (message.type() === 'log') console.log(message.text())
  })
  const dtype = dtypes[devices[section]]
  const model = {
    name,
    url: `${url}models/${name}/`,
    dtype,
    weightBytes: countWeightBytes(name, dtype),
    ggufUrl: gguf && `${url}models/${name}/${gguf}`,
  }
  const rows = await page.evaluate(({ section, plan }) => window.bench[section](plan), {
    section,
    plan: { ...options, section, model },
  })
  await page.close()
  return rows
}

async function openPage(browser: BrowserContext, url: string): Promise<Page> {
  const page = await browser.newPage()
  await page.goto(url)
  await page.waitForFunction(() => 'bench' in window)
  return page
}

function readVersions(): Record<string, string> {
  return {
    rivulet: readVersion(join(root, 'package.json')),
    onnxruntime: readVersion(join(root, 'node_modules/onnxruntime-web/package.json')),
    transformers: ensureTransformers(),
    node: process.version,
  }
}

async function describeMachine(browser: BrowserContext, url: string) {
  const page = await openPage(browser, url)
  const adapter = await page.evaluate(async () => {
    const info = (await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }))?.info
    return info
      ? [info.vendor, info.architecture, info.description].filter(Boolean).join(' ')
      : 'no GPU adapter'
  })
  await page.close()
  return {
    chromium: browser.browser()?.version(),
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryBytes: totalmem(),
    gpu: process.env.RIVULET_GPU ?? 'software',
    adapter,
  }
}
