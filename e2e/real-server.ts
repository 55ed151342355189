import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join, resolve } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { Prepared } from './models/prepare.js'

const cache = resolve(import.meta.dirname, '../.cache')
const environment = join(cache, 'openai-server')
/** An OpenAI-compatible server for GGUF files, available as a wheel for Linux, so nothing has to be compiled. */
const serverPackage = 'dasllama==0.6.6'
const startTimeoutMs = 60_000

/** A third-party server with a real model. */
export interface RealServer {
  /** The base URL, with the API's version. */
  readonly url: string
  readonly model: string
  close(): void
}

/** Starts the server on a free local port. It is unavailable without Python, PyPI or Linux. */
export async function startRealServer(model: string): Promise<Prepared<RealServer>> {
  const installed = install()
  if ('unavailable' in installed) return installed
  // The server writes a converted model beside the file, and would use it for a later version of the model too.
  const folder = mkdtempSync(join(environment, 'model-'))
  const copy = join(folder, basename(model))
  copyFileSync(model, copy)
  const port = await findPort()
  const args = ['--model', copy, '--port', String(port), '--gpu=off', '--threads', '1', '--streams', '2']
  // In its own process group, so that its child processes end with it.
  const server = spawn(installed.value, args, {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, HOME: environment },
  })
  const close = () => {
    if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid)
    rmSync(folder, { recursive: true, force: true })
  }
  const url = `http://localhost:${port}/v1`
  const end = Date.now() + startTimeoutMs
  while (Date.now() < end && server.exitCode === null) {
    const name = await readModelName(url)
    if (name !== undefined) return { value: { url, model: name, close } }
    await new Promise((done) => setTimeout(done, 100))
  }
  close()
  throw new Error(`${serverPackage} did not start.`)
}

function install(): Prepared<string> {
  const command = join(environment, 'bin/dasllama-server')
  if (existsSync(command)) return { value: command }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { unavailable: `${serverPackage} has no build for ${process.platform} on ${process.arch}.` }
  }
  mkdirSync(cache, { recursive: true })
  const steps: readonly [string, string[]][] = [
    ['python3', ['-m', 'venv', environment]],
    [join(environment, 'bin/pip'), ['install', '--quiet', '--no-deps', serverPackage]],
  ]
  for (const [program, args] of steps) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
    if (status === 0) continue
    rmSync(environment, { recursive: true, force: true })
    return { unavailable: `${program}: ${error?.message ?? stderr.trim().split('\n').at(-1)}` }
  }
  return { value: command }
}

function findPort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer().listen(0, 'localhost', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => done(port))
    })
  })
}

async function readModelName(url: string): Promise<string | undefined> {
  try {
    const { data } = (await (await fetch(`${url}/models`)).json()) as { data: readonly { id: string }[] }
    return data[0]?.id
  } catch {
    return undefined
  }
}
