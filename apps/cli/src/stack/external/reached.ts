/** What came of a look at a server that somebody else runs. `text` is for people and holds no password. */
export interface Reached {
  readonly ok: boolean;
  readonly text: string;
}

/** How long a server may take to answer before it counts as unreachable. */
export const answerLimitMs = 3_000;

const reasonCharactersMax = 200;

/** A failed connection in words. `place` is host and port: an error's own text may hold all addresses, or be empty. */
export function reasonOf(error: unknown, place: string): string {
  const code = (error as { code?: unknown }).code;
  if (code === 'ECONNREFUSED') return `nobody listens on ${place}`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `no address is known for ${place}`;
  if (code === 'ETIMEDOUT') return `${place} does not answer`;
  const message = error instanceof Error ? error.message : '';
  return `${place}: ${message.slice(0, reasonCharactersMax) || (typeof code === 'string' ? code : 'no reason given')}`;
}

/** The URL's parts; undefined when it is none. Never throws: Node's own error shows the whole URL, password included. */
export function urlWithHost(text: string, protocols: readonly string[]): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return protocols.includes(url.protocol) && url.hostname !== '' ? url : undefined;
}
