/** What went wrong, as one sentence to show. */
export class Problem extends Error {}
