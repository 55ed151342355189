import type { ErrorCode } from 'rivulet'

/** What an error means for the user, and what to do. The error's own message is for developers. */
const errorWords = {
  'invalid-option': 'The model does not work with these settings.',
  'prompt-too-long': 'Your message is too long for this model. Shorten it, or choose another model.',
  'chat-template-failed': 'This model cannot read this chat.',
  'model-not-found': 'The model was not found. Check its name or address.',
  'model-invalid': 'The files of this model are damaged or incomplete.',
  'model-unsupported': 'This kind of model cannot run here.',
  'download-failed': 'The download failed. Check your connection, and try again.',
  'integrity-failed': 'The download differs from the original file. Try again.',
  'quota-exceeded': 'The browser has no space left for this model. Delete other models.',
  'memory-exceeded': 'This model is too large for the memory of this device.',
  'backend-unavailable': 'This browser or this device cannot run this model.',
  'worker-failed': 'Your chat is saved. Load the model again to continue.',
  'device-lost': 'The graphics card stopped. Send your message again.',
  'connection-failed': 'The server did not answer, or the connection broke.',
  'generation-failed': 'The model could not write its answer. Try again.',
  'value-invalid': 'The answer does not have the form that you chose. Try again.',
  'queue-full': 'The model is busy. Try again later.',
  'chat-busy': 'An answer is being written. Wait for it, or stop it.',
  'engine-disposed': 'The model was unloaded. Load it again.',
} satisfies Record<ErrorCode, string>

/** Returns the words for an error. An error without a code is unexpected. */
export function describeForUser(code: ErrorCode | undefined): string {
  return code === undefined ? 'Something unexpected went wrong.' : errorWords[code]
}
