/** A worker whose name starts with this has no file system. */
export const fileless = 'fileless'
