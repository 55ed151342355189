import { RivuletError } from '../lib/contract/errors.js'
import { leaveCancel } from '../lib/contract/leave-cancel.js'
import type { GenerateRequest } from '../lib/contract/request.js'
import { transferStream } from '../lib/contract/stream-transfer.js'
import {
  turnTaken,
  type GenerationEvent,
  type LoadEvent,
  type WorkerApi,
} from '../lib/contract/worker-api.js'
import type { HostApi } from './host.js'
import { maxWaiting } from './queue.js'

/** The edge of a host: the engines that call it are its clients. */
export interface Edge {
  /**
   * Returns the methods of one client. The generations of a client start in order, and clients take turns.
   * @param left aborted when the client has ended. Its generations are then cancelled
   */
  open(left?: AbortSignal): WorkerApi
}

/** One engine. */
interface Client {
  readonly waiting: Turn[]
  readonly running: Set<Turn>
  /** The number of the start of its newest generation: the client whose number is lowest is next. */
  newestStart: number
}

/** One generation of a client. */
interface Turn {
  readonly client: Client
  readonly isPrefillOnly: boolean
  start(): void
  /** Ends the generation from here: with an error for its reader, or as if it had ended. */
  end(error?: RivuletError): void
  /** Since when the reader has asked for nothing; undefined while a step is computed, also one that a cancel waits for. */
  idleSinceMs: number | undefined
}

/** How long a reader may ask for nothing while another client waits. A reader that is slow, but reads, keeps its turn. */
const idleMs = 5000
const checkMs = 500

/** Creates the edge of a host, which knows nothing of clients. */
export function createEdge(host: HostApi): Edge {
  const clients = new Set<Client>()
  const running = new Set<Turn>()
  let capacity = 1
  let starts = 0
  let steps = 0
  let timer: ReturnType<typeof setInterval> | undefined

  function advance(): void {
    while (running.size < capacity) {
      const waiting = [...clients].filter((client) => client.waiting.length > 0)
      const next = waiting.toSorted((a, b) => a.newestStart - b.newestStart)[0]
      const turn = next?.waiting.shift()
      if (!next || !turn) break
      next.newestStart = ++starts
      next.running.add(turn)
      running.add(turn)
      turn.start()
    }
    // A prompt that is computed ahead gives way, as it does within one engine.
    for (const turn of running) if (turn.isPrefillOnly && isWaitedFor(turn, true)) turn.end()
    const isContended = [...running].some((turn) => isWaitedFor(turn))
    if (isContended) timer ??= setInterval(endIdleTurns, checkMs)
    else if (timer !== undefined) timer = void clearInterval(timer)
  }

  /** True if another client waits while this generation runs. */
  function isWaitedFor({ client }: Turn, byGeneration = false): boolean {
    return [...clients].some(
      (other) =>
        other !== client && other.waiting.some(({ isPrefillOnly }) => !byGeneration || !isPrefillOnly),
    )
  }

  function endIdleTurns(): void {
    const nowMs = performance.now()
    for (const turn of running) {
      if (turn.idleSinceMs === undefined || nowMs - turn.idleSinceMs < idleMs || !isWaitedFor(turn)) continue
      turn.end(
        new RivuletError(
          'worker-failed',
          `This answer was not read for ${idleMs / 1000} seconds while another tab waited for the model. Read it, or cancel it.`,
          { cause: turnTaken },
        ),
      )
    }
  }

  function leave(turn: Turn): void {
    const { client } = turn
    const place = client.waiting.indexOf(turn)
    if (place !== -1) client.waiting.splice(place, 1)
    client.running.delete(turn)
    if (running.delete(turn) || place !== -1) advance()
  }

  function generate(client: Client, request: GenerateRequest): ReadableStream<GenerationEvent> {
    host.checkLoaded()
    if (client.waiting.length >= maxWaiting) {
      throw new RivuletError(
        'queue-full',
        `The queue is full (${maxWaiting} requests). Wait for some of them to finish, or cancel them.`,
      )
    }
    const enteredMs = performance.now()
    let waitedMs = 0
    let events: ReadableStreamDefaultReader<GenerationEvent> | undefined
    let isOver = false
    let output!: ReadableStreamDefaultController<GenerationEvent>
    let start!: () => void
    const started = new Promise<void>((resolve) => (start = resolve))

    /** Stops the generation. Its turn ends when the host has stopped, so that the next one starts on a free model. */
    async function stop(reason?: unknown): Promise<void> {
      isOver = true
      turn.idleSinceMs = undefined
      start()
      await events?.cancel(reason).catch(() => {})
      leave(turn)
    }

    const turn: Turn = {
      client,
      isPrefillOnly: request.prefillOnly === true,
      start() {
        waitedMs = performance.now() - enteredMs
        turn.idleSinceMs = performance.now()
        start()
      },
      end(error) {
        if (isOver) return
        void stop(error)
        if (error) output.error(error)
        else output.close()
      },
      idleSinceMs: undefined,
    }

    async function readStep(): Promise<GenerationEvent | undefined> {
      await started
      if (isOver) return undefined
      turn.idleSinceMs = undefined
      try {
        const canPausePrefill = request.reportsPrefill === true
        events ??= host.generate({ ...request, reportsPrefill: true, canPausePrefill }).getReader()
        const { done, value } = await events.read()
        if (done || value.kind === 'ended') leave(turn)
        if (done) return undefined
        steps += 1
        return value.kind === 'started' ? { ...value, queueMs: value.queueMs + waitedMs } : value
      } catch (error) {
        leave(turn)
        throw error
      } finally {
        if (!isOver) turn.idleSinceMs = performance.now()
      }
    }

    const stream = new ReadableStream<GenerationEvent>(
      {
        start(controller) {
          output = controller
        },
        async pull(controller) {
          let event = await readStep()
          // Every prefill reports its progress, which shows that the worker is alive. Not every page reads it.
          while (event?.kind === 'prefilling' && !request.reportsPrefill) event = await readStep()
          if (isOver) return
          if (event) return controller.enqueue(event)
          isOver = true
          controller.close()
        },
        async cancel(reason) {
          await leaveCancel()
          await stop(reason)
        },
      },
      { highWaterMark: 0 },
    )
    client.waiting.push(turn)
    advance()
    return transferStream(stream, host.stepsInFlight)
  }

  /** Loads the model, and learns how many generations it runs at the same time. */
  function load(request: Parameters<WorkerApi['load']>[0]): ReadableStream<LoadEvent> {
    const events = host.load(request).getReader()
    const stream = new ReadableStream<LoadEvent>(
      {
        async pull(controller) {
          const { done, value } = await events.read()
          if (done) return controller.close()
          if (value.kind === 'ready') capacity = value.info.supports.concurrency
          controller.enqueue(value)
        },
        cancel: (reason) => events.cancel(reason),
      },
      { highWaterMark: 0 },
    )
    return transferStream(stream)
  }

  return {
    open(left) {
      const client: Client = { waiting: [], running: new Set(), newestStart: starts }
      clients.add(client)
      left?.addEventListener('abort', () => {
        for (const turn of [...client.waiting, ...client.running]) turn.end()
        clients.delete(client)
      })
      return {
        load,
        generate: (request) => generate(client, request),
        countTokens: host.countTokens,
        unload: host.unload,
        readStatus: () =>
          Promise.resolve({
            scriptUrl: globalThis.location?.href ?? '',
            steps,
            isComputing: [...running].some(({ idleSinceMs }) => idleSinceMs === undefined),
          }),
      }
    },
  }
}
