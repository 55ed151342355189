import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { chromium, type BrowserContext } from '@playwright/test'
import { chooseLaunchOptions } from '../../scripts/chromium.mjs'
import {
  createContent,
  sha256,
  startFaultServer,
  type FaultServer,
} from '../../workers/store/fault-server.test-support.js'
import { buildBenchPage, pageFolder } from './build-page.js'
import { listMeasurements, measure, readAdapter, sectionNames } from './measure.js'
import { defaultModelNames, fillModels, modelNames, modelsFolder, prepareModels } from './models.js'
import type { PacedFile } from './page/plan.js'
import type { Row } from './page/rows.js'
import { ensureTransformers, readVersion } from './peer.js'
import { serveBench } from './serve.js'
import { formatTable } from './table.js'
import { startTransportServers } from './transport-servers.js'

const root = resolve(import.meta.dirname, '../..')
const resultsFile = join(root, '.cache/bench/results.json')

/** The `gpu` sections need a graphics card: a software adapter takes minutes, and its times say nothing about a GPU. */
const defaultSections = sectionNames.filter(
  (section) => !/^gpu|-gpu$/.test(section) || process.env.RIVULET_GPU === 'hardware',
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
  const sections = choose('section', sectionNames, chosen.sections, defaultSections)
  const models = prepareModels(choose('model', modelNames, chosen.models, defaultModelNames))
  fillModels(modelsFolder, models)
  const versions = readVersions()
  await buildBenchPage()
  const server = await serveBench(pageFolder, modelsFolder)
  // With a profile on disk: without one, the browser keeps stored files in memory.
  const browser = await chromium.launchPersistentContext('', chooseLaunchOptions())
  const fileServer = await startFaultServer()
  const file = servePacedFile(fileServer)
  const { close: closeTransports, ...transports } = await startTransportServers()
  const rows: Row[] = []
  try {
    const machine = await describeMachine(browser, server.url)
    const site = { browser, url: server.url, models: modelsFolder, setRate: server.setRate }
    for (const [section, name] of listMeasurements({ sections, models })) {
      rows.push(...(await measure(site, section, name, { rounds, contexts, file, transports })))
      // After each section, because a later one may fail.
      writeResults({ machine, versions, options: { rounds, contexts, sections }, rows })
    }
    const missed = rows.filter(({ isMet }) => isMet === false)
    console.log(`\n${formatTable(rows)}\n`)
    console.log(
      `Missed bounds: ${missed.length}. Machine: ${machine.processor}, ${machine.cores} cores; ${machine.adapter}.`,
    )
    console.log(`Results written to ${resultsFile}`)
  } finally {
    await browser.close()
    server.close()
    await fileServer.close()
    closeTransports()
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
  mkdirSync(dirname(resultsFile), { recursive: true })
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

/** The versions of the compared libraries. Installs transformers.js if it is missing. */
export function readVersions(): Record<string, string> {
  return {
    rivulet: readVersion(join(root, 'package.json')),
    onnxruntime: readVersion(join(root, 'node_modules/onnxruntime-web/package.json')),
    transformers: ensureTransformers(),
    node: process.version,
  }
}

async function describeMachine(browser: BrowserContext, url: string) {
  const adapter = await readAdapter(browser, url)
  return {
    chromium: browser.browser()?.version(),
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryBytes: totalmem(),
    gpu: process.env.RIVULET_GPU ?? 'software',
    adapter: adapter?.name ?? 'no GPU adapter',
  }
}
