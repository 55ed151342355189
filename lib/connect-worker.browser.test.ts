import { describe, expect, it } from 'vitest'
import { connectWorker } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'

/** A real worker from a script. */
function startWorker(script: string): Worker {
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }))
  return new Worker(url, { type: 'module' })
}

const call = (worker: Worker) => {
  const connection = connectWorker(worker)
  return { connection, answer: connection.call((remote) => remote.unload()) }
}

describe('a call to a worker settles', () => {
  it('when its script is missing', async () => {
    const { answer } = call(new Worker('/no-such-worker.js', { type: 'module' }))
    await expect(answer).rejects.toMatchObject({ code: 'worker-failed' })
  })

  it('when its script does not parse', async () => {
    await expect(call(startWorker('this is no script')).answer).rejects.toMatchObject({
      code: 'worker-failed',
    })
  })

  it('when it throws, with the message of what it threw', async () => {
    const { answer, connection } = call(startWorker('setTimeout(() => { throw new Error("out of luck") })'))
    await expect(answer).rejects.toMatchObject({ code: 'worker-failed', message: /out of luck/ })
    await expect(connection.call((remote) => remote.unload())).rejects.toMatchObject({
      code: 'worker-failed',
    })
  })

  it('when it is terminated, with the reason given', async () => {
    const { answer, connection } = call(startWorker('onmessage = () => {}'))
    const reason = new RivuletError('engine-disposed', 'over')
    setTimeout(() => connection.terminate(reason))
    await expect(answer).rejects.toBe(reason)
    expect(connection.closed.reason).toBe(reason)
  })
})
