import { createHash } from 'node:crypto';

/** A page of our own and the policy that lets it run just its own style and script. */
export interface Page {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

export function page(parts: { title: string; style: string; body: string; script?: string }): Page {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const script = parts.script ?? '';
  return {
    html:
      `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
      `<meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(parts.title)}</title>` +
      `<link rel="icon" href="data:,"><style>${parts.style}</style></head><body>${parts.body}` +
      `${script && `<script type="module">${script}</script>`}</body></html>`,
    contentSecurityPolicy:
      `default-src 'none'; style-src ${hash(parts.style)}; script-src ${script ? hash(script) : "'none'"}; ` +
      `connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  };
}
