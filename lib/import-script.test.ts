import { expect, it } from 'vitest'
import { importScript } from './import-script.js'

it('says of a script that is not there what to do', async () => {
  const missing = './no-such-script.js'
  const error: unknown = await importScript(() => import(missing)).catch((reason: unknown) => reason)
  expect(error).toMatchObject({
    name: 'RivuletError',
    code: 'script-failed',
    message: expect.stringMatching(/Try again.*no-such-script/s),
    cause: expect.objectContaining({ message: expect.stringContaining('no-such-script') }),
  })
})

it('disturbs nobody where nobody waits for the script any more', async () => {
  const unhandled: unknown[] = []
  const listen = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', listen)
  void importScript(() => Promise.reject(new Error('offline')))
  await new Promise((resolve) => setTimeout(resolve, 10))
  process.off('unhandledRejection', listen)
  expect(unhandled).toEqual([])
})
