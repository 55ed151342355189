import type { Row } from './rows.js'
import type { Answer, BenchModel, Subject, Turn } from './subject.js'

/** A file on a server that sends no faster than a line would. */
export interface PacedFile {
  /** Of the folder, with a slash at its end. */
  readonly url: string
  readonly path: string
  readonly sha256: string
  /** Its size and the server's rate. */
  readonly description: string
}

/** What one section measures. */
export interface Plan {
  readonly section: string
  readonly model: BenchModel
  readonly rounds: number
  readonly contexts: readonly number[]
  /** For the store. */
  readonly file: PacedFile
}

export type Section = (plan: Plan) => Promise<Row[]>

/** Closes what a section has opened, however it ends. */
export async function withSubjects<Subjects extends readonly Subject[], Result>(
  subjects: Subjects,
  measure: (subjects: Subjects) => Promise<Result>,
): Promise<Result> {
  try {
    return await measure(subjects)
  } finally {
    await Promise.all(subjects.map((subject) => subject.close()))
  }
}

/** An answer to a prompt that must have been of `tokens` tokens. */
export async function answerExactly(subject: Subject, tokens: number, turn: Turn): Promise<Answer> {
  const answer = await subject.answer(turn)
  if (answer.promptTokens === tokens) return answer
  throw new Error(`${subject.name} read ${answer.promptTokens} tokens where ${tokens} were meant.`)
}

export function sequence(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}

/** The first columns of a plan's rows. */
export function describePlan({ section, model }: Plan): Pick<Row, 'section' | 'model'> {
  return { section, model: model.name }
}
