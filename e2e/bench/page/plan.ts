import type { Row } from './rows.js'
import type { Answer, BenchModel, Subject, Turn } from './subject.js'

/** A file on a server with a limited transfer rate. */
export interface PacedFile {
  /** The folder's URL, with a trailing slash. */
  readonly url: string
  readonly path: string
  readonly sha256: string
  /** The file's size and the transfer rate. */
  readonly description: string
}

/** The servers of the section `transports`. */
export interface TransportServers {
  /** Chat completions below `v1/`, and vLLM's gRPC service. */
  readonly url: string
  readonly responsesUrl: string
  /** How many tokens each answer has. */
  readonly tokens: number
}

/** The input of a section. */
export interface Plan {
  readonly section: string
  readonly model: BenchModel
  readonly rounds: number
  readonly contexts: readonly number[]
  /** For the `store` section. */
  readonly file: PacedFile
  /** For the `transports` section. */
  readonly transports: TransportServers
}

export type Section = (plan: Plan) => Promise<Row[]>

/** Calls `measure` and closes the subjects, also if it fails. */
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

/** Runs a turn and checks that its prompt had exactly `tokens` tokens. */
export async function answerExactly(subject: Subject, tokens: number, turn: Turn): Promise<Answer> {
  const answer = await subject.answer(turn)
  if (answer.promptTokens === tokens) return answer
  throw new Error(`${subject.name} counted ${answer.promptTokens} prompt tokens instead of ${tokens}.`)
}

export function sequence(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}

/** Returns the first columns of a plan's rows. */
export function describePlan({ section, model }: Plan): Pick<Row, 'section' | 'model'> {
  return { section, model: model.name }
}
