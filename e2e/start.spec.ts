import { once } from 'node:events'
import { expect, test } from '@playwright/test'
import { spawnTied } from './spawn-tied.js'

test('npm start prints the addresses of the demo, and no warning @soak', async () => {
  let printed = ''
  const onOutput = (piece: string) => (printed += piece)
  const { child, close } = spawnTied(process.execPath, ['scripts/start.mjs'], { onOutput })
  await expect.poll(() => printed, { timeout: 120_000 }).toContain('SmolLM2-135M-Instruct:')
  const exited = once(child, 'exit')
  close()
  await exited
  const address = String.raw`http://localhost:\d+/`
  expect(printed.trim()).toMatch(
    new RegExp(String.raw`^Demo: ${address}\nDemo with SmolLM2-135M-Instruct: ${address}\?model=`),
  )
})
