/** A llama.cpp worker with this in its name has no JSPI. */
export const withoutJspi = 'without-jspi'
/** A llama.cpp worker with this in its name has no 64-bit memories. */
export const withoutMemory64 = 'without-memory64'
/** The channel on which wllama's own worker then reports whether it has JSPI. */
export const jspiChannel = 'has JSPI'
