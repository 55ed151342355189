// Globals that an example may use without declaring them. The examples' page sets them (main.ts).
import type { ChatMessage, Engine } from 'rivulet'

declare global {
  /** Runs the embedded model. */
  const engine: Engine
  const messages: ChatMessage[]
  /** The access token of a user who is signed in. */
  const token: string
  /** The hash of the embedded model's weights. */
  const weightsSha256: string
  const folderInput: HTMLInputElement
}
