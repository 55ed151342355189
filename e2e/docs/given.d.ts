// What an example may use without saying where it comes from. The page of the examples sets it (main.ts).
import type { ChatMessage, Engine } from 'rivulet'

declare global {
  /** The embedded model, loaded. */
  const engine: Engine
  const messages: ChatMessage[]
  /** Of somebody who is signed in. */
  const token: string
  /** Of the embedded model's weights. */
  const weightsSha256: string
  const folderInput: HTMLInputElement
}
