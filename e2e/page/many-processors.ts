/** A worker whose name starts with this has eight processors. */
export const manyProcessors = 'many-processors'
