import type { OutputOf, workspace } from '@reef/contracts';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { SKILL_DESCRIPTION_CHARACTERS_MAX, SKILL_FRONT_MATTER_BYTES_MAX } from './limits.js';

export type Skill = OutputOf<typeof workspace.queries.skills>['items'][number];

const frontMatter = z.object({
  name: z.string().regex(/^[a-z0-9-]{1,64}$/),
  description: z.string().trim().min(1).max(SKILL_DESCRIPTION_CHARACTERS_MAX),
});

/**
 * What the front matter of `skills/<folder>/SKILL.md` tells the prompt (the Agent Skills format): its name, equal to its folder's, and
 * its description. Null for one that breaks a rule: a broken skill is left out and harms no other.
 */
export function parseSkill(folder: string, text: string): Skill | null {
  const block = /^\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)/s.exec(
    text.slice(0, SKILL_FRONT_MATTER_BYTES_MAX),
  );
  if (!block?.[1]) return null;
  const document = parseDocument(block[1], { schema: 'core', uniqueKeys: true, strict: true, logLevel: 'silent' });
  if (document.errors.length > 0) return null;
  const parsed = frontMatter.safeParse(valueOf(document));
  if (!parsed.success || parsed.data.name !== folder) return null;
  return { ...parsed.data, location: `skills/${folder}/SKILL.md` };
}

function valueOf(document: ReturnType<typeof parseDocument>): unknown {
  try {
    // Aliases can make a small text unfold into a huge value; no skill needs one.
    return document.toJS({ maxAliasCount: 0 });
  } catch {
    return null;
  }
}
