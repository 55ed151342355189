import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { chooseWebKit } from '../../scripts/browsers.mjs'
import type { Driver, DriverOptions } from './driver.js'
import { WebDriverPage } from './webdriver-page.js'
import { WebDriverSession } from './webdriver.js'

/** On by default in Safari 26, and off in WebKitGTK 2.50. */
const features = [
  'AccessHandle',
  'FileSystem',
  'FileSystemWritableStream',
  'ReadableByteStreamAPI',
  'StorageAPI',
  'StorageAPIEstimate',
]

/** WebKitGTK on a virtual display, over WebDriver. */
export async function startWebKit({ profile, proxy }: DriverOptions): Promise<Driver> {
  const chosen = chooseWebKit()
  if ('unavailable' in chosen) throw new Error(chosen.unavailable)
  const display = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const [number] = (await once(display.stdio[3]!, 'data')) as [Buffer]
  const port = await findFreePort()
  const driver = spawn('WebKitWebDriver', [`--port=${port}`], {
    stdio: 'ignore',
    env: {
      ...process.env,
      DISPLAY: `:${String(number).trim()}`,
      // There is no accessibility bus.
      NO_AT_BRIDGE: '1',
      // Otherwise the browser is offline on a machine that has only localhost.
      GIO_USE_NETWORK_MONITOR: 'base',
      // Safari has it in cross-origin isolated pages. WebKitGTK has it nowhere.
      JSC_useSharedArrayBuffer: '1',
    },
  })
  try {
    const server = `http://127.0.0.1:${port}`
    await waitForServer(`${server}/status`, driver)
    const session = await WebDriverSession.start(server, {
      'webkitgtk:browserOptions': {
        binary: chosen.executablePath,
        args: [join(import.meta.dirname, 'webkit-shell.py'), profile, proxy, features.join(',')],
      },
    })
    // A model's load can take minutes.
    await session.send('POST', '/timeouts', { script: 600_000, pageLoad: 600_000 })
    // Stays open: the session ends with its last window, and only a session with a window can open another.
    const first = (await session.send('GET', '/window')) as string
    return {
      name: 'webkit',
      async openPage() {
        const opened = await session.sendTo(first, 'POST', '/window/new', { type: 'tab' })
        const { handle } = opened as { readonly handle: string }
        return new WebDriverPage(session, handle).asDrivenPage()
      },
      async close() {
        await session.send('DELETE', '')
        await end(driver)
        await end(display)
      },
    }
  } catch (error) {
    await end(driver)
    await end(display)
    throw error
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function waitForServer(url: string, { exitCode }: ChildProcess): Promise<void> {
  while (
    !(await fetch(url).then(
      () => true,
      () => false,
    ))
  ) {
    if (exitCode !== null) throw new Error('WebKitWebDriver did not start.')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill()
  await ended
}
