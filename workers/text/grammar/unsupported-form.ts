/** A form that cannot be held. The message is a sentence about it, without the name of the option. */
export class UnsupportedForm extends Error {}
