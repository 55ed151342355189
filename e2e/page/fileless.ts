/** A worker whose name starts with this has no file system. */
export const fileless = 'fileless'
/** A worker whose name starts with this has a file system whose sync access handles fail. */
export const handleless = 'handleless'
