// Runs the benchmark where it was unpacked: no repository, no network. `run.py` starts it.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { chromium, type BrowserContext } from '@playwright/test'
import { chromiumArguments } from '../../../lib/playwright/chromium-arguments.mjs'
import { listMeasurements, measure, readAdapter, sectionNames, type Adapter } from '../measure.js'
import { defaultModelNames, fillModels, modelNames, readModel, type ModelName } from '../models.js'
import type { Row } from '../page/rows.js'
import { serveBench } from '../serve.js'
import { formatTable } from '../table.js'
import type { Bundle } from './pack.js'

const folder = resolve(import.meta.dirname, '..')
const models = join(folder, 'models')
const resultsFile = join(folder, 'results.json')

/** The file that `pack.ts` writes. */
const { executable, versions } = JSON.parse(readFileSync(join(folder, 'bundle.json'), 'utf8')) as Bundle

const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: '' },
    only: { type: 'string', default: 'gpu' },
    contexts: { type: 'string', default: '64,512,2000,8000' },
    rounds: { type: 'string', default: '5' },
    /** Ends after that time; what is measured until then is kept. */
    minutes: { type: 'string', default: '60' },
    /** Accepts an adapter that computes on the CPU. */
    software: { type: 'boolean', default: false },
    /** Asks for `shader-f16` on NVIDIA's Vulkan driver, where Chromium leaves it off. */
    f16: { type: 'boolean', default: false },
  },
})

/** Splits a comma-separated option and checks its names. Empty: all. */
function choose<Name extends string>(list: string, all: readonly Name[]): Name[] {
  const names = list.split(',').filter(Boolean)
  const unknown = names.find((name) => !all.some((known) => known === name))
  if (unknown !== undefined) throw new Error(`"${unknown}" is not one of: ${all.join(', ')}.`)
  return names.length === 0 ? [...all] : all.filter((name) => names.includes(name))
}

interface Launch {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const f16Arguments = options.f16 ? ['--enable-dawn-features=vulkan_enable_f16_on_nvidia'] : []

/** Ways to reach the driver of a machine without a display, tried in turn. */
function listLaunches(): Launch[] {
  if (options.software) return [chooseSoftware()]
  const argumentLists = [
    // Gave an adapter on an NVIDIA H200 in a container.
    ['--use-angle=gl-egl', '--disable-vulkan-surface'],
    ['--use-angle=vulkan', '--disable-vulkan-surface'],
    ['--disable-vulkan-surface'],
    [],
  ].flatMap((more) => [more, [...more, '--disable-gpu-sandbox']])
  const drivers = [...findEglDrivers(), ...findVulkanDrivers()].map((file) => ({ VK_DRIVER_FILES: file }))
  return [{}, ...drivers].flatMap((env) =>
    argumentLists.map((more) => ({
      args: [...chromiumArguments('hardware'), '--ignore-gpu-blocklist', ...f16Arguments, ...more],
      env,
    })),
  )
}

function chooseSoftware(): Launch {
  // A library that replaces SwiftShader, for example lavapipe, reads its driver's files.
  const more = process.env.VK_DRIVER_FILES ? ['--disable-gpu-sandbox'] : []
  return { args: [...chromiumArguments('software'), ...more], env: {} }
}

/** The Vulkan drivers of graphics cards, also where a container mounts them in a folder of its own. */
function findVulkanDrivers(): string[] {
  const folders = ['/usr/share', '/etc', '/usr/local/share', '/usr/local/nvidia/share'].map((parent) =>
    join(parent, 'vulkan/icd.d'),
  )
  return folders
    .filter((each) => existsSync(each))
    .flatMap((each) => readdirSync(each).map((file) => join(each, file)))
    .filter((file) => file.endsWith('.json') && !/lvp|swiftshader/.test(file))
}

/**
 * NVIDIA's driver, by the library that needs no display: the one that its manifest names gives no instance without an X server.
 * @returns the path of a manifest, in a list, if this machine has the library
 */
function findEglDrivers(): string[] {
  const { stdout } = spawnSync('ldconfig', ['-p'], { encoding: 'utf8' })
  const library = /libEGL_nvidia\.so\.0 .*=> (\S+)/.exec(stdout ?? '')?.[1]
  if (library === undefined) return []
  const manifest = join(folder, 'nvidia-egl.json')
  const content = { file_format_version: '1.0.1', ICD: { library_path: library, api_version: '1.3.0' } }
  writeFileSync(manifest, JSON.stringify(content))
  return [manifest]
}

/** Launches Chromium so that it has an adapter of a graphics card. @throws Error if no way gives one */
async function launch(url: string): Promise<{ browser: BrowserContext; adapter: Adapter }> {
  for (const { args, env } of listLaunches()) {
    const description = [...Object.entries(env).map((pair) => pair.join('=')), ...args].join(' ')
    console.log(`Chromium with ${description}`)
    const browser = await chromium
      .launchPersistentContext('', {
        executablePath: join(folder, executable),
        args: [...args],
        env: { ...process.env, ...env } as Record<string, string>,
        timeout: 60_000,
      })
      .catch((error: unknown) => void console.log(`  does not start: ${String(error).slice(0, 2000)}`))
    if (!browser) continue
    const adapter = await readAdapter(browser, url).catch((error: unknown) => void console.log(`  ${error}`))
    console.log(`  adapter: ${adapter?.name ?? 'none'}${adapter?.isSoftware ? ' (software)' : ''}`)
    if (adapter && (options.software || !adapter.isSoftware)) return { browser, adapter }
    await browser.close()
  }
  throw new Error('No way of launching Chromium gave an adapter of a graphics card.')
}

/** The chosen models that the bundle contains. */
function listModels(): ModelName[] {
  const names = options.models ? choose(options.models, modelNames) : defaultModelNames
  return names.filter((name) => existsSync(join(models, readModel(name).folder)))
}

async function run(): Promise<void> {
  const names = listModels()
  fillModels(models, names)
  const server = await serveBench(join(folder, 'page'), models)
  const rows: Row[] = []
  const startMs = performance.now()
  try {
    const { browser, adapter } = await launch(server.url)
    const machine = {
      chromium: browser.browser()?.version(),
      processor: cpus()[0]?.model ?? 'unknown processor',
      cores: cpus().length,
      memoryBytes: totalmem(),
      gpu: options.software ? 'software' : 'hardware',
      adapter: adapter.name,
      features: adapter.features,
    }
    console.log(JSON.stringify(machine))
    const sections = choose(options.only, sectionNames)
    const plan = {
      sections,
      models: names,
      rounds: Number(options.rounds),
      contexts: options.contexts.split(',').map(Number),
      file: { url: server.url, path: '', sha256: '', description: '' },
      transports: { url: server.url, responsesUrl: server.url, tokens: 0 },
    }
    const limit = setTimeout(
      () => {
        console.log(`Ended after ${options.minutes} minutes.`)
        finish()
      },
      Number(options.minutes) * 60_000,
    )
    const write = () => {
      const date = new Date().toISOString()
      const results = {
        date,
        machine,
        versions,
        options: { rounds: plan.rounds, contexts: plan.contexts, sections },
        rows,
      }
      writeFileSync(resultsFile, JSON.stringify(results, undefined, 1) + '\n')
    }
    const finish = () => {
      write()
      console.log(`\n${formatTable(rows)}\n\n${adapter.name}. Results written to ${resultsFile}`)
      process.exit(0)
    }
    const site = { browser, url: server.url, models, setRate: server.setRate }
    for (const [section, name] of listMeasurements(plan)) {
      const measured = await measure(site, section, name, plan).catch((error: unknown) => {
        // The others may still run.
        console.log(`${section}, ${name}: ${error instanceof Error ? error.message : String(error)}`)
        return []
      })
      rows.push(...measured)
      write()
      console.log(`${section}, ${name}: ended at ${((performance.now() - startMs) / 1000).toFixed(0)} s`)
    }
    clearTimeout(limit)
    finish()
  } finally {
    server.close()
  }
}

await run()
