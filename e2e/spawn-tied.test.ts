import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript'
import { afterAll, expect, it, vi } from 'vitest'
import { spawnTied } from './spawn-tied.js'

/** The servers of the tests have builds only for Linux. */
const itOnLinux = it.skipIf(process.platform !== 'linux')

const folder = mkdtempSync(join(tmpdir(), 'rivulet-tied-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A program with a child process. Both write their ids to a file. */
const program = (file: string) => ['sh', ['-c', 'sleep 600 & echo $$ $! > "$0"; wait', file]] as const

/** Waits until the program has started. */
function readIds(file: string): Promise<readonly number[]> {
  return vi.waitUntil(() => {
    try {
      const ids = readFileSync(file, 'utf8').trim().split(' ').map(Number)
      return ids.length === 2 && ids
    } catch {
      return false
    }
  }, 5000)
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0)
    // A process that has ended stays in the table until its parent asks for its status.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${id}/status`, 'utf8'))
  } catch {
    return false
  }
}

itOnLinux('a program and its child process end when they are closed', async () => {
  const file = join(folder, 'closed')
  const tied = spawnTied(...program(file))
  const ids = await readIds(file)
  expect(ids.map(isRunning)).toEqual([true, true])
  expect(tied.child.exitCode).toBeNull()
  tied.close()
  await vi.waitUntil(() => !ids.some(isRunning), 5000)
})

itOnLinux(
  'a program and its child process end with the process that has started them, also if it is killed',
  async () => {
    const file = join(folder, 'killed')
    const source = readFileSync(join(import.meta.dirname, 'spawn-tied.ts'), 'utf8')
    const start = `spawnTied(...${JSON.stringify(program(file))}); setInterval(() => {}, 1000)`
    const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 }
    const { outputText } = transpileModule(`${source}\n${start}`, { compilerOptions })
    const starter = spawn(process.execPath, ['--input-type=module', '-e', outputText])
    const ids = await readIds(file)
    starter.kill('SIGKILL')
    await vi.waitUntil(() => !ids.some(isRunning), 5000)
  },
)

itOnLinux('a program that fails is reported', async () => {
  let output = ''
  const onOutput = (piece: string) => (output += piece)
  const tied = spawnTied('sh', ['-c', 'echo out; echo error >&2; exit 3'], { onOutput })
  await vi.waitUntil(() => tied.child.exitCode !== null, 5000)
  expect(tied.child.exitCode).toBe(3)
  await vi.waitUntil(() => output.includes('out\n') && output.includes('error\n'), 5000)
  tied.close()
})
