import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Browser, CDPSession, Page } from '@playwright/test'
import type { ProcessBytes } from './page/browser-memory.js'

const samplingIntervalMs = 10

/** Provides the functions of `page/browser-memory.ts`, which read memory through the DevTools protocol and `/proc`. */
export async function exposeBrowserMemory(browser: Browser, page: Page): Promise<void> {
  const session = await browser.newBrowserCDPSession()
  const heaps = await watchWorkerHeaps(page)
  await page.exposeFunction('readProcesses', () => readProcesses(session))
  await page.exposeFunction('readCardMemory', readCardMemory)
  await page.exposeFunction('startHeapPeak', heaps.start)
  await page.exposeFunction('endHeapPeak', heaps.end)
  page.on('close', () => {
    void heaps.end()
    session.detach().catch(() => {})
  })
}

interface HeapUsage {
  readonly usedSize: number
  /** Size of ArrayBuffers. */
  readonly backingStorageSize?: number
}

/** Samples the total heap size of the page's workers, with pauses of 10 ms, between `start` and `end`. */
export async function watchWorkerHeaps(page: Page) {
  const session = await page.context().newCDPSession(page)
  const workers = new Set<string>()
  const pendingReplies = new Map<number, (usage: HeapUsage) => void>()
  let calls = 0
  let peakBytes = 0
  let isSampling = false
  let sampling = Promise.resolve()

  session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type === 'worker') workers.add(sessionId)
  })
  session.on('Target.detachedFromTarget', ({ sessionId }) => workers.delete(sessionId))
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message) as { id?: number; result?: HeapUsage }
    if (id !== undefined && result) pendingReplies.get(id)?.(result)
  })
  await session.send('Target.setAutoAttach', {
    autoAttach: true,
    waitForDebuggerOnStart: false,
    flatten: false,
  })

  async function readHeap(sessionId: string): Promise<number> {
    const id = ++calls
    const usage = await new Promise<HeapUsage>((resolve) => {
      pendingReplies.set(id, resolve)
      // A worker that is terminated meanwhile does not reply.
      setTimeout(() => resolve({ usedSize: 0 }), 1000)
      session
        .send('Target.sendMessageToTarget', {
          sessionId,
          message: JSON.stringify({ id, method: 'Runtime.getHeapUsage' }),
        })
        .catch(() => resolve({ usedSize: 0 }))
    })
    pendingReplies.delete(id)
    return usage.usedSize + (usage.backingStorageSize ?? 0)
  }

  async function sample(): Promise<void> {
    while (isSampling) {
      const heaps = await Promise.all([...workers].map(readHeap))
      peakBytes = Math.max(
        peakBytes,
        heaps.reduce((sum, bytes) => sum + bytes, 0),
      )
      await new Promise((resolve) => setTimeout(resolve, samplingIntervalMs))
    }
  }

  return {
    start() {
      peakBytes = 0
      isSampling = true
      sampling = sample()
    },
    async end() {
      isSampling = false
      await sampling
      return peakBytes
    },
  }
}

/** @returns resident memory by process type; undefined if the system is not Linux */
export async function readProcesses(session: CDPSession): Promise<ProcessBytes | undefined> {
  if (process.platform !== 'linux') return undefined
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  const sum = (type: string) =>
    processInfo
      .filter((each) => each.type === type)
      .reduce((total, each) => total + readResidentBytes(each.id), 0)
  return { renderer: sum('renderer'), gpu: sum('GPU') }
}

function readResidentBytes(processId: number): number {
  try {
    const [, kilobytes] = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8')) ?? []
    return Number(kilobytes ?? 0) * 1024
  } catch {
    // The process ended after it was listed.
    return 0
  }
}

function readCardMemory(): number | undefined {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits']
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' })
  const megabytes = Number.parseInt(stdout, 10)
  return status === 0 && Number.isFinite(megabytes) ? megabytes * 2 ** 20 : undefined
}
