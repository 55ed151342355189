import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { spawnTied } from '../spawn-tied.js'
import type { ServedApp } from './serve-app.js'

const root = resolve(import.meta.dirname, '../..')
const apps = join(import.meta.dirname, 'apps')

/** An app with the packed package in its `node_modules`, outside the repository, so that it finds no other packages. */
export interface Consumer {
  readonly folder: string
  /** The packages at the top of `node_modules`: `name` or `@scope/name`. */
  readonly packages: readonly string[]
  remove(): void
}

/** The package as for the registry. */
let packed: string | undefined

/** Packs rivulet, once in each process. @returns the path of the package */
function packRivulet(): string {
  if (packed !== undefined) return packed
  const folder = mkdtempSync(join(tmpdir(), 'rivulet-packed-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [tarball] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8' }),
  ) as { readonly filename: string }[]
  return (packed = join(folder, tarball!.filename))
}

/** Installs the packed rivulet with the bundler into a copy of an app. */
export function installConsumer(app: string): Consumer {
  const workspace = mkdtempSync(join(tmpdir(), `rivulet-${app}-`))
  cpSync(packRivulet(), join(workspace, 'rivulet.tgz'))
  const folder = join(workspace, 'app')
  cpSync(join(apps, app), folder, { recursive: true })
  cpSync(join(apps, 'shared'), join(folder, 'src'), { recursive: true })
  for (const model of ['stories', 'stories.gguf']) {
    cpSync(join(root, 'demo/public/models', model), join(folder, 'public/models', model), { recursive: true })
  }
  const quietFlags = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--prefer-offline']
  runNpm(folder, ['install', ...quietFlags])
  return {
    folder,
    packages: listPackages(join(folder, 'node_modules')),
    // A server that was told to end can still write files.
    remove: () => rmSync(workspace, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }),
  }
}

/** Builds the app. @returns the folders to upload to a static host */
export function buildConsumer({ folder }: Consumer, output: string): readonly string[] {
  runNpm(folder, ['run', 'build'])
  return [join(folder, output), join(folder, 'public')]
}

/**
 * Runs an app that needs no page of the test's own.
 * @param variables of the app's environment
 * @returns its output
 */
export function runConsumer({ folder }: Consumer, variables: Readonly<Record<string, string>> = {}): string {
  return runNpm(folder, ['run', '--silent', 'start'], variables)
}

/** Starts the app's own server: of development, or of the built app. */
export async function serveOwn({ folder }: Consumer, script: 'dev' | 'start'): Promise<ServedApp> {
  let output = ''
  let readOutput = () => {}
  const { child, close } = spawnTied('npm', ['run', script], {
    cwd: folder,
    env: appEnvironment,
    onOutput(piece) {
      output += piece
      readOutput()
    },
  })
  const url = await new Promise<string>((resolve, reject) => {
    readOutput = () => {
      const address = /http:\/\/localhost:\d+(?=[/\s])/.exec(stripVTControlCharacters(output))
      if (address) resolve(`${address[0]}/`)
    }
    child.on('exit', () => reject(new Error(`The server exited: ${output}`)))
  })
  return { url, close }
}

function listPackages(folder: string): string[] {
  return readdirSync(folder).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(folder, name)).map((each) => `${name}/${each}`) : [name],
  )
}

const appEnvironment = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }

/** Runs npm, and shows its output only if it fails. */
function runNpm(folder: string, args: readonly string[], variables: NodeJS.ProcessEnv = {}): string {
  try {
    return execFileSync('npm', args, {
      cwd: folder,
      encoding: 'utf8',
      stdio: 'pipe',
      env: { ...appEnvironment, ...variables },
    })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`npm ${args[0]} failed in ${folder}:\n${stdout}${stderr}`, { cause: error })
  }
}
