/** A worker whose name starts with this has four processors. */
export const manyProcessors = 'many-processors'
