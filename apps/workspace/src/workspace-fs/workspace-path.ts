import { refuse, type Refusal } from './refusal.js';

export const nameBytesMax = 255;
export const pathBytesMax = 4096;
export const pathLevelsMax = 64;

/** A path that passed every lexical rule: relative, NFC, no component that means anything but itself. */
export type WorkspacePath = { ok: true; path: string; components: readonly string[] };

const tenantPattern = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
// A whole emoji may hold joiners and tags; alone these characters are invisible and make two names look like one.
const emoji = /\p{RGI_Emoji}/gv;
const control = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const invisible = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;
// U+2044 and its kin print as a slash but have no compatibility form, so NFKC alone does not find them.
const lookalikeSlash = /[\u2044\u2215\u2216\u29f5\u29f8\u29f9]/u;
const onlyDots = /^\.+$/;

/** True for a tenant id that may become a directory name. The staging directory begins with a dot, so no tenant can be it. */
export const isTenant = (tenant: string): boolean => tenantPattern.test(tenant);

/**
 * Decides from the text alone whether a path may be looked up; no system call is made for one that may not.
 * Percent signs are ordinary characters here: decoding happens once, at the edge.
 */
export function parseWorkspacePath(path: string): WorkspacePath | Refusal {
  // UTF-8 never takes fewer bytes than UTF-16 has units, so this keeps a huge text from being scanned at all.
  if (path.length > pathBytesMax) return refuse('path_refused', 'the path is longer than 4,096 bytes');
  if (!path.isWellFormed()) return refuse('path_refused', 'the path holds half a character');
  if (Buffer.byteLength(path) > pathBytesMax) return refuse('path_refused', 'the path is longer than 4,096 bytes');
  if (path.startsWith('/')) return refuse('path_refused', 'the path is absolute');
  const components = path.split('/');
  if (components.length > pathLevelsMax) return refuse('path_refused', 'the path has more than 64 levels');
  for (const component of components) {
    const reason = whyNameIsRefused(component);
    if (reason) return refuse('path_refused', reason);
  }
  return { ok: true, path, components };
}

/** The rule a name breaks, as a sentence; undefined for a name that is fine. */
export function whyNameIsRefused(name: string): string | undefined {
  if (name === '') return 'a name is empty';
  if (name === '.' || name === '..') return 'a name is . or ..';
  if (!name.isWellFormed()) return 'a name holds half a character';
  if (control.test(name)) return 'a name holds a control character';
  if (name.includes('\\')) return 'a name holds a backslash';
  if (name.includes('/')) return 'a name holds a slash';
  if (name.normalize('NFC') !== name) return 'a name is not in Unicode form NFC';
  if (invisible.test(name) && invisible.test(name.replace(emoji, ''))) return 'a name holds an invisible character';
  const compatible = name.normalize('NFKC');
  if (onlyDots.test(compatible) || /[/\\]/.test(compatible) || lookalikeSlash.test(name))
    return 'a name imitates dots or slashes';
  if (/^\s|\s$/u.test(name)) return 'a name begins or ends with a space';
  if (name.endsWith('.')) return 'a name ends with a dot';
  if (Buffer.byteLength(name) > nameBytesMax) return 'a name is longer than 255 bytes';
  return undefined;
}
