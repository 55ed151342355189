import { worthParkingTokens } from './conversations.js'

/*
 * States of fixed size cannot be truncated to a prefix. So a decoder keeps them where later prompts can continue: near the end
 * of each prompt, and at the end of each answer that a prompt continues.
 */

/**
 * How many tokens before the end of a prompt its checkpoint is. The same prompt can continue from the checkpoint. A
 * follow-up prompt can also continue from it if the chat template writes the start of the answer differently there (with
 * Qwen3.5's empty thoughts, up to 7 tokens differ).
 */
const checkpointDistance = 8

/**
 * Chooses the prompt lengths at which to keep the states, in ascending order.
 * @param promptLength the length of the prompt without its last token, which is always computed
 */
export function chooseCheckpoints(recalledLength: number, promptLength: number): number[] {
  const nearEnd = promptLength - checkpointDistance
  return [
    ...(recalledLength >= worthParkingTokens ? [recalledLength] : []),
    ...(nearEnd - recalledLength >= worthParkingTokens ? [nearEnd] : []),
  ]
}

/** Returns the part of a prompt before its checkpoint. @param ids the prompt with its last token */
export function cutToCheckpoint(ids: readonly number[]): readonly number[] {
  return ids.slice(0, Math.max(0, ids.length - 1 - checkpointDistance))
}

/** Splits the tokens from `start` to `end` at the checkpoints between them. Returns the ends of the parts. */
export function splitAtCheckpoints(checkpoints: readonly number[], start: number, end: number): number[] {
  return [...checkpoints.filter((length) => length > start && length < end), end]
}
