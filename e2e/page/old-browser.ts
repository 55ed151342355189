/** A llama.cpp worker with this in its name has no JSPI. */
export const withoutJspi = 'without-jspi'
/** A llama.cpp worker with this in its name has no 64-bit memories. */
export const withoutMemory64 = 'without-memory64'
