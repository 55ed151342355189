import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { once } from 'node:events'
import { basename, dirname, join, resolve } from 'node:path'
import { rolldown } from 'rolldown'
import { findChromium } from '../../../scripts/chromium.mjs'
import { readVersions } from '../bench.js'
import { buildBenchPage, pageFolder } from '../build-page.js'
import { ggufFile, modelsFolder, prepareModels, readModel, type ModelName } from '../models.js'

const root = resolve(import.meta.dirname, '../../..')
const output = join(root, '.cache/bench/bundle')
const content = join(root, '.cache/bench/bundle-content')
const partBytes = 60 * 2 ** 20

/** What the driver must know of the bundle. */
export interface Bundle {
  /** Chromium's path in the bundle. */
  readonly executable: string
  readonly versions: Readonly<Record<string, string>>
}

/** Weights that are random are made where the bundle runs; GGUF files travel. */
const defaultModels: readonly ModelName[] = [
  'stories',
  'bench-tiny-q4',
  'bench-tiny-q4f16',
  'bench-135m',
  'bench-135m-q4f16',
  'bench-135m-fp16',
  'bench-1b-q4',
  'bench-3b-q4',
  'bench-1b-q4f16',
  'bench-3b-q4f16',
]

/** Packs the benchmark, Chromium, Node and the models into parts of 60 MiB, beside `run.py`. @returns the folder */
export async function packBench(names: readonly ModelName[] = defaultModels): Promise<string> {
  if (process.platform !== 'linux') throw new Error('The bundle can be packed only on Linux.')
  const models = prepareModels(names)
  const versions = readVersions()
  await buildBenchPage()
  rmSync(content, { recursive: true, force: true })
  mkdirSync(content, { recursive: true })
  const executable = copyChromium()
  copyLibraries([join(content, executable), process.execPath])
  copyLoaders(dirname(join(content, executable)))
  cpSync(realpathSync(process.execPath), join(content, 'node'))
  cpSync(pageFolder, join(content, 'page'), { recursive: true })
  for (const name of models) copyModel(name)
  await buildDriver()
  // Without it, fontconfig complains. The page shows no text.
  writeFileSync(join(content, 'fonts.conf'), '<fontconfig></fontconfig>\n')
  const bundle: Bundle = { executable, versions }
  writeFileSync(join(content, 'bundle.json'), JSON.stringify(bundle))
  await writeParts()
  cpSync(join(import.meta.dirname, 'run.py'), join(output, 'run.py'))
  rmSync(content, { recursive: true })
  return output
}

/** Not needed to run a headless page. */
const leftOut = /\.TOC$|crashpad|libVkLayer|libVkICD_mock|_200_percent/

/** Copies the folder of the installed Chromium. @returns the executable's path in the bundle */
function copyChromium(): string {
  const found = realpathSync(findChromium() ?? '')
  // Debian's command is a shell script for a program in another folder.
  const isScript = readFileSync(found).subarray(0, 2).toString() === '#!'
  const executable = isScript ? '/usr/lib/chromium/chromium' : found
  cpSync(dirname(executable), join(content, 'chromium'), {
    recursive: true,
    dereference: true,
    filter: (path) => !leftOut.test(basename(path)) && !/locales\/(?!en-US\.)/.test(path),
  })
  return `chromium/${basename(executable)}`
}

/** The C library stays that of the machine where the bundle runs: its graphics driver needs it. */
const systemLibrary = /^(ld-linux|lib(c|m|dl|rt|pthread|resolv|util|anl)\.so)/
const cxxLibrary = /^lib(stdc\+\+|gcc_s)\.so/
/** Loaded by name at run time, from the folder of libnss3.so. */
const nssModules = /^lib(softokn3|freebl3|freeblpriv3|nssckbi|nssutil3)\.(so|chk)/

function copyLibraries(programs: readonly string[]): void {
  const lines = programs.flatMap((program) =>
    execFileSync('ldd', [program], { encoding: 'utf8' }).split('\n'),
  )
  const paths = new Set(lines.flatMap((line) => /=> (\/\S+)/.exec(line)?.[1] ?? []))
  const nss = [...paths].find((path) => basename(path) === 'libnss3.so')
  if (nss) {
    for (const file of readdirSync(dirname(nss)))
      if (nssModules.test(file)) paths.add(join(dirname(nss), file))
  }
  for (const path of paths) {
    const name = basename(path)
    if (systemLibrary.test(name)) continue
    cpSync(realpathSync(path), join(content, cxxLibrary.test(name) ? 'lib-cxx' : 'lib', name))
  }
}

/** The loaders through which Chromium finds a graphics driver. They are not linked, and a machine without a display lacks them. */
const loaderPackages = ['libegl1', 'libglvnd0']

/** Copies the loaders for EGL from Debian's packages, and the one for Vulkan from Chromium's folder. */
function copyLoaders(chromium: string): void {
  const folder = join(content, 'loaders')
  mkdirSync(folder)
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: folder, stdio: 'pipe' })
  try {
    run('apt-get', 'download', ...loaderPackages)
    for (const file of readdirSync(folder)) run('dpkg', '-x', file, 'unpacked')
  } catch (error) {
    console.log(`The loaders for EGL are left out, so the bundle needs them on its machine: ${String(error)}`)
  }
  const unpacked = join(folder, 'unpacked')
  const files = existsSync(unpacked) ? readdirSync(unpacked, { recursive: true, encoding: 'utf8' }) : []
  for (const file of files) {
    if (/\.so\.\d+$/.test(file))
      cpSync(realpathSync(join(unpacked, file)), join(content, 'lib', basename(file)))
  }
  rmSync(folder, { recursive: true })
  const vulkan = join(chromium, 'libvulkan.so.1')
  if (existsSync(vulkan)) cpSync(vulkan, join(content, 'lib/libvulkan.so.1'))
}

function copyModel(name: ModelName): void {
  const { folder } = readModel(name)
  // Random weights are made from their list.
  const isMadeThere = (path: string) => /\.onnx_data(\.partial)?$/.test(path)
  const keepsOnlyGguf = !folder.startsWith('bench-')
  cpSync(join(modelsFolder, folder), join(content, 'models', folder), {
    recursive: true,
    filter: (path) => {
      const isFolder = path === join(modelsFolder, folder)
      return keepsOnlyGguf ? isFolder || basename(path) === ggufFile : !isMadeThere(path)
    },
  })
}

async function buildDriver(): Promise<void> {
  const driver = join(content, 'driver')
  const bundle = await rolldown({
    input: join(import.meta.dirname, 'driver.ts'),
    platform: 'node',
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    plugins: [
      {
        name: 'rivulet-bench-playwright',
        // The test runner around it would be of no use.
        resolveId: (id) =>
          id === '@playwright/test' ? { id: 'playwright-core', external: true } : undefined,
      },
    ],
  })
  await bundle.write({ file: join(driver, 'driver.mjs') })
  const from = join(root, 'node_modules/playwright-core')
  cpSync(from, join(driver, 'node_modules/playwright-core'), { recursive: true, dereference: true })
}

async function writeParts(): Promise<void> {
  rmSync(output, { recursive: true, force: true })
  mkdirSync(output, { recursive: true })
  const archive = spawn('tar', ['--create', '--use-compress-program=xz -T0', '--directory', content, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(archive, 'close')
  const parts: string[] = []
  let file: number | undefined
  let room = 0
  for await (const chunk of archive.stdout) {
    let rest = chunk as Buffer
    while (rest.length > 0) {
      if (file === undefined || room === 0) {
        if (file !== undefined) closeSync(file)
        parts.push(join(output, `part-${parts.length}`))
        file = openSync(parts.at(-1)!, 'w')
        room = partBytes
      }
      const written = writeSync(file, rest, 0, Math.min(rest.length, room))
      rest = rest.subarray(written)
      room -= written
    }
  }
  if (file !== undefined) closeSync(file)
  await ended
  if (archive.exitCode !== 0) throw new Error(`tar ended with ${archive.exitCode}.`)
  const pad = (number: number) => String(number).padStart(2, '0')
  // The number of parts in each name lets run.py see whether one is missing.
  parts.forEach((path, index) =>
    renameSync(path, join(output, `bench.tar.xz.${pad(index + 1)}-of-${pad(parts.length)}`)),
  )
}
