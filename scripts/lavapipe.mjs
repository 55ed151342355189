// Prepares a Chromium whose WebGPU runs on Mesa's lavapipe, a software adapter with 16-bit floats and subgroups of 8.
// SwiftShader, Chromium's own software adapter, has neither. Everything is in .cache/lavapipe: the system is unchanged,
// except that a C compiler is installed if there is none. Uses no npm packages, because it runs before any is installed.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromiumArguments } from '../lib/playwright/chromium-arguments.mjs'

const folder = fileURLToPath(new URL('../.cache/lavapipe', import.meta.url))
const adapterSource = fileURLToPath(new URL('lavapipe-adapter.c', import.meta.url))
/** Of Debian's package `chromium`. */
const systemChromium = '/usr/lib/chromium'
const executables = new Set(['chromium', 'chromium-headless-shell'])
/** Chromium requires a newer Mesa than the one of Debian 12 (22.3). */
const suites = ['bookworm', 'bookworm-updates', 'bookworm-backports']

const browserFolder = join(folder, 'chromium')
const packagesFolder = join(folder, 'packages')
const driverFile = join(folder, 'lavapipe.json')
/** Written last. Its content identifies the Chromium and the adapter's source from which the folder was made. */
const stampFile = join(folder, 'prepared')

/**
 * Returns the launch options of the prepared Chromium, or why there is none.
 * @returns {{ launchOptions: { args: string[], executablePath: string, env: Record<string, string> } } | { unavailable: string }}
 */
export function chooseLavapipe() {
  const unavailable = explainUnavailable()
  if (unavailable) return { unavailable }
  if (!isPrepared()) return { unavailable: 'It is not prepared. Run: node scripts/lavapipe.mjs' }
  return {
    launchOptions: {
      args: [...chromiumArguments('software'), '--disable-gpu-sandbox'],
      executablePath: join(browserFolder, 'chromium'),
      env: { .../** @type {Record<string, string>} */ (process.env), ...createEnvironment() },
    },
  }
}

/** Returns the environment variables of a browser that uses Vulkan itself; none if lavapipe is not prepared. */
export function lavapipeEnvironment() {
  return 'unavailable' in chooseLavapipe() ? {} : createEnvironment()
}

function createEnvironment() {
  return {
    VK_DRIVER_FILES: driverFile,
    LD_LIBRARY_PATH: libraryFolder(),
    // Lavapipe compiles each shader with LLVM, which takes seconds. The compiled shaders are kept.
    MESA_SHADER_CACHE_DIR: join(folder, 'shaders'),
  }
}

/** Prepares the Chromium if this machine can have one. If not, the tests on lavapipe are skipped, and print the reason. */
export function ensureLavapipe() {
  try {
    if (!explainUnavailable() && !isPrepared()) prepare()
  } catch (error) {
    console.log(`Lavapipe could not be prepared: ${error}`)
  }
}

function explainUnavailable() {
  if (process.getuid?.() !== 0 || !/^VERSION_CODENAME=bookworm$/m.test(readOsRelease()))
    return 'Lavapipe is installed only on Debian 12, as root.'
  if (!existsSync(join(systemChromium, 'chromium'))) return "Lavapipe needs Debian's package chromium."
  return undefined
}

function readOsRelease() {
  return existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
}

function createStamp() {
  const { size, mtimeMs } = statSync(join(systemChromium, 'chromium'))
  return `${size} ${mtimeMs}\n${readFileSync(adapterSource, 'utf8')}`
}

function isPrepared() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === createStamp()
}

function prepare() {
  console.log('Preparing lavapipe, a software GPU with 16-bit floats …')
  rmSync(stampFile, { force: true })
  extractPackages()
  linkChromium()
  compileAdapter()
  writeFileSync(stampFile, createStamp())
}

/**
 * Runs apt-get with package lists and downloads of its own, on the system's mirror.
 * @param {string[]} args
 */
function runApt(...args) {
  const apt = join(folder, 'apt')
  for (const part of ['lists/partial', 'archives/partial']) mkdirSync(join(apt, part), { recursive: true })
  const sources = join(apt, 'sources.list')
  const key = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  const mirror = findMirror()
  writeFileSync(sources, suites.map((suite) => `deb ${key} ${mirror} ${suite} main\n`).join(''))
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${apt}/lists`,
    `Dir::Cache=${apt}`,
  ]
  // Runs as root: the user that apt would download with cannot write into this folder.
  const options = [...settings, 'APT::Sandbox::User=root'].flatMap((setting) => ['-o', setting])
  execFileSync('apt-get', ['-qq', ...options, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  return join(apt, 'archives')
}

/** @returns the Debian mirror of this machine */
function findMirror() {
  const format = '$(REPO_URI) $(RELEASE)'
  const output = execFileSync('apt-get', ['indextargets', '--format', format], { encoding: 'utf8' })
  const mirror = output.split('\n').find((line) => line.endsWith(' bookworm'))
  if (!mirror) throw new Error('apt has no source for Debian 12.')
  return mirror.split(' ')[0]
}

/** Extracts lavapipe, the Vulkan loader and the libraries that they need and that the system lacks. */
function extractPackages() {
  rmSync(packagesFolder, { recursive: true, force: true })
  runApt('update')
  const wanted = ['mesa-vulkan-drivers', 'libvulkan1']
  // Reinstalls, so that both are downloaded even if the system has them.
  const install = ['install', '--yes', '--download-only', '--reinstall', '--no-install-recommends']
  const archives = runApt(...install, '--target-release', 'bookworm-backports', ...wanted)
  for (const name of readdirSync(archives).filter((name) => name.endsWith('.deb')))
    execFileSync('dpkg-deb', ['--extract', join(archives, name), packagesFolder])
  rmSync(archives, { recursive: true })
  const driver = { library_path: join(libraryFolder(), 'libvulkan_lvp.so'), api_version: '1.3.0' }
  writeFileSync(driverFile, JSON.stringify({ file_format_version: '1.0.0', ICD: driver }))
}

/** The folder of the extracted libraries. Its name contains the processor's architecture. */
function libraryFolder() {
  const libraries = join(packagesFolder, 'usr/lib')
  const architecture = readdirSync(libraries).find((name) =>
    existsSync(join(libraries, name, 'libvulkan_lvp.so')),
  )
  if (!architecture) throw new Error("Debian's package mesa-vulkan-drivers has no lavapipe.")
  return join(libraries, architecture)
}

/** Chromium loads the adapter from the folder of its executable. So the executable is a file of its own, not a symbolic link. */
function linkChromium() {
  rmSync(browserFolder, { recursive: true, force: true })
  mkdirSync(browserFolder, { recursive: true })
  for (const name of readdirSync(systemChromium)) {
    const [from, to] = [join(systemChromium, name), join(browserFolder, name)]
    if (executables.has(name)) linkOrCopy(from, to)
    else if (name !== 'libvk_swiftshader.so') symlinkSync(from, to)
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function linkOrCopy(from, to) {
  try {
    linkSync(from, to)
  } catch {
    // On another file system.
    copyFileSync(from, to)
  }
}

function compileAdapter() {
  if (spawnSync('which', ['cc']).status !== 0) {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' })
    const compiler = ['install', '-y', '-qq', '--no-install-recommends', 'gcc', 'libc6-dev']
    execFileSync('apt-get', compiler, { stdio: 'inherit' })
  }
  const output = join(browserFolder, 'libvk_swiftshader.so')
  execFileSync('cc', ['-shared', '-fPIC', '-O2', '-Wall', '-o', output, adapterSource, '-ldl'])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  ensureLavapipe()
  const chosen = chooseLavapipe()
  console.log('unavailable' in chosen ? chosen.unavailable : `Lavapipe is ready: ${browserFolder}`)
}
