import { spawn, type ChildProcess } from 'node:child_process'

/**
 * Starts the program in the same process, beside a process that waits for the end of the pipe from this process and then ends the
 * whole group. Standard input goes to descriptor 3, because a shell takes it from a process in the background.
 */
const script = 'exec 3<&0; (cat <&3 > /dev/null; kill 0) & exec "$@" < /dev/null 3<&-'

export interface TiedProcess {
  /** The program, once its shell has started it. Its standard input is not the program's. */
  readonly child: ChildProcess
  /** Ends the program and its child processes. */
  close(): void
}

interface TiedOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Receives the output of the program. */
  readonly onOutput?: (piece: string) => void
}

/**
 * Starts a program that ends with this process, also if this process is killed: the time limit of a hook, for example, ends
 * the hook before it knows what to close. The program's child processes end with it.
 */
export function spawnTied(
  program: string,
  args: readonly string[],
  { cwd, env, onOutput }: TiedOptions = {},
): TiedProcess {
  const output = onOutput ? 'pipe' : 'ignore'
  const child = spawn('sh', ['-c', script, 'sh', program, ...args], {
    // In its own process group.
    detached: true,
    stdio: ['pipe', output, output],
    ...(cwd !== undefined && { cwd }),
    ...(env && { env }),
  })
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (piece: Buffer) => onOutput?.(piece.toString()))
  return { child, close: () => void child.stdin!.end() }
}
