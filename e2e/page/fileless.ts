/** A worker whose name begins so has no file system. */
export const fileless = 'fileless'
