import type { FastifyRequest } from 'fastify';

const SESSION_COOKIE = 'reef_session';

export interface Credential {
  readonly text: string;
  /** A browser sends a cookie by itself, so what came by cookie must also prove that our own page sent it. */
  readonly byCookie: boolean;
}

/** `__Host-` binds a cookie to this host and to https; browsers refuse it on plain http, so there it has no prefix. */
const cookieName = (request: FastifyRequest) =>
  request.protocol === 'https' ? `__Host-${SESSION_COOKIE}` : SESSION_COOKIE;

export function credentialOf(request: FastifyRequest): Credential | null {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined) {
    const [, text] = /^Bearer +([\x21-\x7e]+)$/i.exec(authorization) ?? [];
    return text ? { text, byCookie: false } : null;
  }
  const prefix = `${cookieName(request)}=`;
  const found = cookie?.split('; ').find((pair) => pair.startsWith(prefix));
  return found ? { text: found.slice(prefix.length), byCookie: true } : null;
}

export function sessionCookie(request: FastifyRequest, token: string, expiresAt: string): string {
  const secure = request.protocol === 'https' ? '; Secure' : '';
  return `${cookieName(request)}=${token}; Path=/; HttpOnly; SameSite=Lax; Expires=${new Date(expiresAt).toUTCString()}${secure}`;
}

export const endedSessionCookie = (request: FastifyRequest): string =>
  sessionCookie(request, '', new Date(0).toISOString());

/** Whether a browser says that another site made this request (Fetch Metadata, or the older Origin). */
export function isCrossSite(request: FastifyRequest): boolean {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { origin } = request.headers;
  return origin !== undefined && !isOwnOrigin(origin, request.host);
}

function isOwnOrigin(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}
