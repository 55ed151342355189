/** A worker whose name starts with this cannot iterate or transfer a `ReadableStream`, as Safari before 26.4. */
export const withoutStreamIteration = 'without-stream-iteration'

/** Removes both from this page or worker. */
export function removeStreamIteration(): void {
  const prototype = ReadableStream.prototype as Partial<ReadableStream>
  delete prototype[Symbol.asyncIterator]
  delete prototype.values
  const post = MessagePort.prototype.postMessage
  // Cast: the method is overloaded.
  MessagePort.prototype.postMessage = function (this: MessagePort, ...[message, transfer]: unknown[]) {
    if (Array.isArray(transfer) && transfer.some((each) => each instanceof ReadableStream))
      throw new DOMException('', 'DataCloneError')
    Reflect.apply(post, this, [message, transfer])
  } as typeof post
}
