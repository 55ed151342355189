import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
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

/** Packs rivulet as for the registry, and installs it with the bundler into a copy of an app. */
export function installConsumer(app: string): Consumer {
  const workspace = mkdtempSync(join(tmpdir(), `rivulet-${app}-`))
  const [tarball] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', workspace], { cwd: root, encoding: 'utf8' }),
  ) as { readonly filename: string }[]
  renameSync(join(workspace, tarball!.filename), join(workspace, 'rivulet.tgz'))
  const folder = join(workspace, 'app')
  cpSync(join(apps, app), folder, { recursive: true })
  cpSync(join(apps, 'shared'), join(folder, 'src'), { recursive: true })
  for (const model of ['stories', 'stories.gguf']) {
    cpSync(join(root, 'demo/public/models', model), join(folder, 'public/models', model), { recursive: true })
  }
  const quietFlags = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--prefer-offline']
  runNpm(folder, 'install', ...quietFlags)
  return {
    folder,
    packages: listPackages(join(folder, 'node_modules')),
    remove: () => rmSync(workspace, { recursive: true, force: true }),
  }
}

/** Builds the app. @returns the folders to upload to a static host */
export function buildConsumer({ folder }: Consumer, output: string): readonly string[] {
  runNpm(folder, 'run', 'build')
  return [join(folder, output), join(folder, 'public')]
}

/** Runs an app that needs no browser. @returns its output */
export function runConsumer({ folder }: Consumer): string {
  return runNpm(folder, 'run', '--silent', 'start')
}

/** Starts the bundler's development server. */
export async function serveDev({ folder }: Consumer): Promise<ServedApp> {
  // In its own process group, because npm does not pass signals on to its child.
  const server = spawn('npm', ['run', 'dev'], { cwd: folder, detached: true })
  const close = () => void (server.exitCode === null && process.kill(-server.pid!))
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const listen = (piece: Buffer) => {
      output += piece.toString()
      const address = /http:\/\/localhost:\d+\//.exec(stripVTControlCharacters(output))
      if (address) resolve(address[0])
    }
    server.stdout.on('data', listen)
    server.stderr.on('data', listen)
    server.on('exit', () => reject(new Error(`The development server exited: ${output}`)))
  })
  return { url, close }
}

function listPackages(folder: string): string[] {
  return readdirSync(folder).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(folder, name)).map((each) => `${name}/${each}`) : [name],
  )
}

/** Runs npm, and shows its output only if it fails. */
function runNpm(folder: string, ...args: readonly string[]): string {
  try {
    return execFileSync('npm', args, {
      cwd: folder,
      encoding: 'utf8',
      stdio: 'pipe',
      env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' },
    })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`npm ${args[0]} failed in ${folder}:\n${stdout}${stderr}`, { cause: error })
  }
}
