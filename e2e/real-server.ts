// Third-party servers with OpenAI's API, from PyPI.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join, resolve } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { Prepared } from './models/prepare.js'
import { spawnTied } from './spawn-tied.js'

const cache = resolve(import.meta.dirname, '../.cache')
const startTimeoutMs = 120_000

/** A third-party server with a real model. */
export interface RealServer {
  /** The base URL, with the API's version. */
  readonly url: string
  readonly model: string
  close(): void
}

/** A server's package, and how it is started. All of them are wheels for Linux, so nothing has to be compiled. */
interface ServerProgram {
  /** The folder of its virtual environment, in `.cache`. */
  readonly environment: string
  readonly install: readonly string[]
  readonly program: string
  readonly variables?: Readonly<Record<string, string>>
  /** @param folder a folder that only this run of the server uses */
  listArguments(folder: string, model: string, port: number, chatTemplate?: string): readonly string[]
}

export type RealServerKind = 'dasLLAMA' | 'llama.cpp' | 'LiteLLM'

const servers = {
  dasLLAMA: {
    environment: 'openai-server',
    install: ['--no-deps', 'dasllama==0.6.6'],
    program: 'dasllama-server',
    listArguments(folder, model, port) {
      // The server writes a converted model beside the file, and would use it for a later version of the model too.
      const copy = join(folder, basename(model))
      copyFileSync(model, copy)
      return ['--model', copy, '--port', String(port), '--gpu=off', '--threads', '1', '--streams', '2']
    },
  },
  'llama.cpp': {
    environment: 'llama-cpp-server',
    install: ['--no-deps', 'xllamacpp==2026.10.11549'],
    program: 'python',
    listArguments: (_, model, port, chatTemplate) => [
      join(import.meta.dirname, 'models/llama_cpp_server.py'),
      model,
      String(port),
      'served-model',
      ...(chatTemplate === undefined ? [] : [chatTemplate]),
    ],
  },
  // A proxy: `model` is the URL of the server that it passes the requests to.
  LiteLLM: {
    environment: 'litellm-server',
    install: ['litellm[proxy]==1.108.7'],
    program: 'litellm',
    // It only starts without a key, and without asking another host for prices, if it is told so.
    variables: {
      LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: 'true',
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
    },
    listArguments(folder, upstream, port) {
      const config = join(folder, 'config.json')
      const parameters = { model: 'openai/served-model', api_base: upstream, api_key: 'none' }
      writeFileSync(
        config,
        JSON.stringify({ model_list: [{ model_name: 'served-model', litellm_params: parameters }] }),
      )
      return ['--config', config, '--host', 'localhost', '--port', String(port)]
    },
  },
} as const satisfies Record<RealServerKind, ServerProgram>

/**
 * Starts a server on a free local port. It is unavailable without Python, PyPI or Linux. It ends with this process, if not
 * before.
 * @param model the path of a GGUF file; for LiteLLM, the URL of another server
 * @param chatTemplate for llama.cpp, instead of the model's own
 */
export async function startRealServer(
  kind: RealServerKind,
  model: string,
  chatTemplate?: string,
): Promise<Prepared<RealServer>> {
  const server: ServerProgram = servers[kind]
  const installed = install(server)
  if ('unavailable' in installed) return installed
  const environment = join(cache, server.environment)
  const folder = mkdtempSync(join(environment, 'run-'))
  const port = await findPort()
  const { child, close: end } = spawnTied(
    installed.value,
    server.listArguments(folder, model, port, chatTemplate),
    { env: { ...process.env, ...server.variables, HOME: environment } },
  )
  const close = () => {
    end()
    rmSync(folder, { recursive: true, force: true })
  }
  const url = `http://localhost:${port}/v1`
  const deadline = Date.now() + startTimeoutMs
  while (Date.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const name = await readModelName(url)
    if (name !== undefined) return { value: { url, model: name, close } }
    await new Promise((done) => setTimeout(done, 100))
  }
  close()
  throw new Error(`The server of ${kind} did not start.`)
}

function install({ environment, install: packages, program }: ServerProgram): Prepared<string> {
  const folder = join(cache, environment)
  const command = join(folder, 'bin', program)
  const marker = join(folder, 'installed')
  if (existsSync(marker)) return { value: command }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { unavailable: `${packages.at(-1)} has no build for ${process.platform} on ${process.arch}.` }
  }
  mkdirSync(cache, { recursive: true })
  const steps: readonly [string, readonly string[]][] = [
    ['python3', ['-m', 'venv', folder]],
    [join(folder, 'bin/pip'), ['install', '--quiet', ...packages]],
  ]
  for (const [tool, args] of steps) {
    const { status, stderr, error } = spawnSync(tool, args, { encoding: 'utf8' })
    if (status === 0) continue
    rmSync(folder, { recursive: true, force: true })
    return { unavailable: `${tool}: ${error?.message ?? stderr.trim().split('\n').at(-1)}` }
  }
  writeFileSync(marker, '')
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
