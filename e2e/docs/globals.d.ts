// Globals that an example may use without declaring them. The examples' page sets them (main.ts).
import type { Engine } from 'rivulet'

declare global {
  /** Runs the embedded model. */
  const engine: Engine
  /** In this library's shape, and in that of OpenAI's package, whose lists are mutable. */
  const messages: { role: 'user'; content: string }[]
  /** The access token of a user who is signed in. */
  const token: string
  /** The hash of the embedded model's weights. */
  const weightsSha256: string
  const folderInput: HTMLInputElement
}
