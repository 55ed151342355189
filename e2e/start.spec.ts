import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from '@playwright/test'

test('npm start prints the addresses of the demo, and no warning @soak', async () => {
  const running = spawn(process.execPath, ['scripts/start.mjs'])
  let printed = ''
  running.stdout.on('data', (data) => (printed += String(data)))
  running.stderr.on('data', (data) => (printed += String(data)))
  await expect.poll(() => printed, { timeout: 120_000 }).toContain('SmolLM2-135M-Instruct:')
  const exited = once(running, 'exit')
  running.kill()
  await exited
  const address = String.raw`http://localhost:\d+/`
  expect(printed.trim()).toMatch(
    new RegExp(String.raw`^Demo: ${address}\nDemo with SmolLM2-135M-Instruct: ${address}\?model=`),
  )
})
