/**
 * Why a peer ends its connection, in words that its host takes for a goodbye: it needs nothing more. Whatever else ends a
 * connection may have lost what was said last.
 *
 * @module
 */
export const GOODBYE = { done: 'the peer is done', leaves: 'the peer leaves' } as const;

export const isGoodbye = (reason: string): boolean => (Object.values(GOODBYE) as string[]).includes(reason);
