import type { LoadProgress } from 'rivulet'
import { measureBandwidth } from './bandwidth.js'
import { answerExactly, describePlan, sequence, withSubjects, type Plan, type Section } from './plan.js'
import { createPrompts, type CreatePrompt } from './prompts.js'
import { createRow, type Measured, type Row } from './rows.js'
import { openRivulet, openTransformers } from './subjects.js'
import type { Answer, Setup, Subject } from './subject.js'

/** Tokens generated where only the first one matters. */
const fewTokens = 4
/** Tokens generated to compare the texts. */
const comparedTokens = 16

/**
 * Measures rivulet and transformers.js on a graphics card: load to first token, memory, and for each context tokens/s, TTFT
 * and the share of the card's bandwidth. A peer that fails is named in the row's note: a long context needs gigabytes there.
 */
export function measureGpu({ newTokens }: { readonly newTokens: number }): Section {
  return async (plan) => {
    const report = createReport(plan)
    const bytesPerSecond = await measureBandwidth()
    report({
      quantity: 'memory bandwidth, copies between buffers',
      unit: 'GB/s',
      values: [bytesPerSecond / 1e9],
    })
    const createPrompt = createPrompts()
    const setup = { device: 'webgpu', mode: 'real', model: plan.model } as const
    const first = await openMeasured((each) => openRivulet(each, report.phases('first')), setup, createPrompt)
    await first.close()
    const ours = await openMeasured((each) => openRivulet(each, report.phases('again')), setup, createPrompt)
    return withSubjects([ours], async () => {
      const theirs = await openMeasured(openTransformers, setup, createPrompt).catch(toFailure)
      try {
        reportLoad(report, first, ours, theirs)
        for (const context of plan.contexts) {
          const times = await measureContext({ plan, context, newTokens, createPrompt }, ours, theirs)
          reportContext(report, plan, context, bytesPerSecond, times)
        }
        await reportMemory(report, ours, theirs)
      } finally {
        if (!(theirs instanceof Failure)) await theirs.close()
      }
      return report.rows
    })
  }
}

/** Why the peer could not be measured. */
class Failure {
  constructor(readonly note: string) {}
}

function toFailure(error: unknown): Failure {
  const [line = ''] = String(error instanceof Error ? error.message : error).split('\n')
  return new Failure(`transformers.js failed: ${line.slice(0, 160)}`)
}

interface MeasuredSubject extends Subject {
  /** From the start of the load to the first token of a short prompt: download from this machine, shaders, prefill. */
  readonly loadMs: number
  /** How much more of the card's memory is in use after that. */
  readonly cardBytes: number | undefined
}

async function openMeasured(
  open: (setup: Setup) => Promise<Subject>,
  setup: Setup,
  createPrompt: CreatePrompt,
): Promise<MeasuredSubject> {
  const before = await window.readCardMemory()
  const startMs = performance.now()
  const subject = await open(setup)
  const openMs = performance.now() - startMs
  const { ttftMs } = await subject.answer({ prompt: createPrompt(64), maxTokens: fewTokens })
  const after = await window.readCardMemory()
  const cardBytes = before === undefined || after === undefined ? undefined : after - before
  return { ...subject, loadMs: openMs + ttftMs, cardBytes }
}

interface Report {
  (measured: Omit<Measured, 'section' | 'model'>): void
  readonly rows: Row[]
  /** Returns a function that logs when each phase of a load starts. */
  phases(load: string): (progress: LoadProgress) => void
}

/** Collects rows, and logs each at once: a later step may crash the browser. */
function createReport(plan: Plan): Report {
  const rows: Row[] = []
  const report = (measured: Omit<Measured, 'section' | 'model'>) => {
    const row = createRow({ ...describePlan(plan), ...measured })
    rows.push(row)
    const { quantity, unit, context, value, baseline, ratio, note } = row
    const [ours, theirs, times] = [value, baseline?.value, ratio].map((each) => each?.median.toPrecision(4))
    console.log(
      [
        plan.model.name,
        context ?? '',
        quantity,
        `${ours} ${unit}`,
        theirs && `(${theirs}, ratio ${times})`,
        note,
      ]
        .filter(Boolean)
        .join(' '),
    )
  }
  const phases = (load: string) => {
    const startMs = performance.now()
    let current: LoadProgress['phase'] | undefined
    return ({ phase }: LoadProgress) => {
      if (phase !== current)
        console.log(
          `${plan.model.name} ${load} load: ${phase} from ${Math.round(performance.now() - startMs)} ms`,
        )
      current = phase
    }
  }
  return Object.assign(report, { rows, phases })
}

function compare(
  ours: readonly number[],
  theirs: readonly number[] | Failure,
): Pick<Measured, 'values' | 'baseline' | 'note'> {
  return theirs instanceof Failure
    ? { values: ours, note: theirs.note }
    : { values: ours, baseline: { name: 'transformers.js', values: theirs } }
}

/** transformers.js reads the files from the server at each load, and rivulet only at the first one. */
function reportLoad(
  report: Report,
  first: MeasuredSubject,
  ours: MeasuredSubject,
  theirs: MeasuredSubject | Failure,
): void {
  const read = (subject: MeasuredSubject, field: 'loadMs' | 'cardBytes') => {
    const value = subject[field]
    if (value === undefined) return undefined
    const peer = theirs instanceof Failure ? theirs : [theirs[field]!]
    return compare([value], peer)
  }
  report({ quantity: 'first load to first token', unit: 'ms', ...read(first, 'loadMs')! })
  report({ quantity: 'load to first token', unit: 'ms', ...read(ours, 'loadMs')! })
  const card = read(ours, 'cardBytes')
  if (card) report({ quantity: "the card's memory after it", unit: 'B', ...card })
}

interface Measuring {
  readonly plan: Plan
  readonly context: number
  readonly newTokens: number
  readonly createPrompt: CreatePrompt
}

interface Times {
  readonly ours: readonly Answer[]
  readonly theirs: readonly Answer[] | Failure
}

/** Alternates between the subjects. A peer that fails is not asked again at this context. */
async function measureContext(
  { plan, context, newTokens, createPrompt }: Measuring,
  ours: Subject,
  peer: Subject | Failure,
): Promise<Times> {
  const answer = (subject: Subject) =>
    answerExactly(subject, context, { prompt: createPrompt(context), maxTokens: newTokens })
  const own: Answer[] = []
  let theirs: Answer[] | Failure = peer instanceof Failure ? peer : []
  const askPeer = async () => {
    if (theirs instanceof Failure || peer instanceof Failure) return
    try {
      theirs.push(await answer(peer))
    } catch (error) {
      theirs = toFailure(error)
    }
  }
  // The first answers compile shaders. Both have the same prompt, so the texts can be compared.
  const turn = { prompt: createPrompt(context), maxTokens: comparedTokens }
  const { text } = await answerExactly(ours, context, turn)
  if (!(peer instanceof Failure)) {
    const other = await answerExactly(peer, context, turn).catch(toFailure)
    if (other instanceof Failure) theirs = other
    else console.log(`${plan.model.name} ${context} ${describeTexts(text, other.text)}`)
  }
  for (const _ of sequence(plan.rounds)) {
    own.push(await answer(ours))
    await askPeer()
  }
  return { ours: own, theirs }
}

function describeTexts(text: string, other: string): string {
  if (text === other) return `the same ${comparedTokens} tokens`
  const words = other.split(' ')
  const equal = text.split(' ').findIndex((word, index) => word !== words[index])
  return `different tokens after ${equal} words`
}

function reportContext(
  report: Report,
  { model }: Plan,
  context: number,
  bytesPerSecond: number,
  { ours, theirs }: Times,
): void {
  const read = (convert: (answer: Answer) => number) =>
    compare(ours.map(convert), theirs instanceof Failure ? theirs : theirs.map(convert))
  report({ context, quantity: 'tokens/s', unit: '', ...read(({ msPerToken }) => 1000 / msPerToken) })
  report({ context, quantity: 'TTFT', unit: 'ms', ...read(({ ttftMs }) => ttftMs) })
  if (!model.step) return
  const stepBytes = model.step.weightBytes + model.step.cacheBytesPerToken * context
  const toShare = ({ msPerToken }: Answer) => (100 * stepBytes * 1000) / msPerToken / bytesPerSecond
  report({ context, quantity: 'share of the memory bandwidth', unit: '%', ...read(toShare) })
}

/** Reports the size of all live WebGPU buffers after the longest context. */
async function reportMemory(report: Report, ours: Subject, theirs: Subject | Failure): Promise<void> {
  const read = async (subject: Subject) => [(await subject.readCounts()).gpuBytesAlive]
  const peer = theirs instanceof Failure ? theirs : await read(theirs)
  report({ quantity: 'WebGPU buffers at the end', unit: 'B', ...compare(await read(ours), peer) })
}
