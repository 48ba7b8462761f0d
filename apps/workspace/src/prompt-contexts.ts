import type { OutputOf, workspace } from '@reef/contracts';
import type { Pool } from 'pg';
import {
  CONTEXTS_CACHED_CHARACTERS_MAX,
  PROMPT_FILE_CHARACTERS_MAX,
  SKILL_FRONT_MATTER_BYTES_MAX,
  SKILLS_MAX,
} from './limits.js';
import { userFolder } from './paths.js';
import { promptPaths } from './projections/files.js';
import { parseSkill, type Skill } from './skill.js';
import { beginningOf } from './text.js';
import type { WorkspaceFs } from './workspace-fs/workspace-fs.js';

export type PromptContext = OutputOf<typeof workspace.queries.promptContext>;
type PromptFile = PromptContext['files'][number];

/** Directly in an agent's folder; TOOLS.md is no longer written by OpenClaw, but older workspaces have it. */
const PROMPT_FILES = ['AGENTS.md', 'SOUL.md', 'IDENTITY.md', 'USER.md', 'TOOLS.md', 'BOOTSTRAP.md', 'MEMORY.md'];
const READ_AT_ONCE_MAX = 8;

interface Cached {
  readonly common: PromptContext;
  /** Overlays of end users by their folder; null for one without. */
  readonly overlays: Map<string, PromptFile | null>;
  characters: number;
}

/**
 * What prompts take from files, kept in memory until the folder changes: this process alone changes files and says when, so a turn
 * that finds its context here costs neither a disk read nor a query. The longest unused goes first.
 */
export class PromptContexts {
  readonly #cached = new Map<string, Cached>();
  #characters = 0;

  constructor(
    private readonly database: Pool,
    private readonly fs: WorkspaceFs,
  ) {}

  forget(tenant: string, agent: string): void {
    this.#drop(`${tenant}/${agent}`);
  }

  forgetAll(): void {
    this.#cached.clear();
    this.#characters = 0;
  }

  /** Call it while no change settles. */
  async of(tenant: string, agent: string, user: string | null): Promise<PromptContext> {
    const key = `${tenant}/${agent}`;
    let cached = this.#cached.get(key);
    if (cached) {
      // Set anew so that the map's order is the order of last use.
      this.#cached.delete(key);
      this.#cached.set(key, cached);
    } else {
      const common = await this.#common(tenant, agent);
      this.#drop(key);
      cached = { common, overlays: new Map(), characters: sizeOf(common) };
      this.#cached.set(key, cached);
      this.#grow(cached.characters);
    }
    if (user === null) return cached.common;
    const overlay = await this.#overlay(tenant, agent, userFolder(user), key, cached);
    return overlay ? { ...cached.common, files: [...cached.common.files, overlay] } : cached.common;
  }

  async #common(tenant: string, agent: string): Promise<PromptContext> {
    const wanted = PROMPT_FILES.map((name) => `${agent}/${name}`);
    const { files, skills } = await promptPaths(this.database, tenant, agent, wanted);
    return {
      files: await inBatches(files, ({ path }) => this.#file(tenant, agent, path)),
      skills: await this.#skills(tenant, skills),
      isNew: files.some(({ path }) => path === `${agent}/BOOTSTRAP.md`),
    };
  }

  async #overlay(
    tenant: string,
    agent: string,
    folder: string,
    key: string,
    cached: Cached,
  ): Promise<PromptFile | null> {
    const known = cached.overlays.get(folder);
    if (known !== undefined) return known;
    const path = `${agent}/users/${folder}/USER.md`;
    const { files } = await promptPaths(this.database, tenant, agent, [path]);
    const overlay = files.length > 0 ? await this.#file(tenant, agent, path) : null;
    cached.overlays.set(folder, overlay);
    const more = folder.length + (overlay?.text.length ?? 0);
    cached.characters += more;
    if (this.#cached.get(key) === cached) this.#grow(more);
    return overlay;
  }

  async #skills(tenant: string, found: readonly { path: string }[]): Promise<Skill[]> {
    const skills = await inBatches(found, async ({ path }) => {
      const folder = path.split('/')[2] ?? '';
      return parseSkill(folder, beginningOf(await this.#bytes(tenant, path), SKILL_FRONT_MATTER_BYTES_MAX));
    });
    return skills.filter((skill) => skill !== null).slice(0, SKILLS_MAX);
  }

  async #file(tenant: string, agent: string, path: string): Promise<PromptFile> {
    const bytes = await this.#bytes(tenant, path);
    const text = beginningOf(bytes, PROMPT_FILE_CHARACTERS_MAX);
    return { path: path.slice(agent.length + 1), text, bytes: bytes.length };
  }

  async #bytes(tenant: string, path: string): Promise<Buffer> {
    const read = await this.fs.read(tenant, path);
    if (!read.ok) throw new Error(`a file that the log has could not be read: ${read.code}`);
    return read.bytes;
  }

  #grow(characters: number): void {
    this.#characters += characters;
    for (const oldest of this.#cached.keys()) {
      if (this.#characters <= CONTEXTS_CACHED_CHARACTERS_MAX) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#characters -= this.#cached.get(key)?.characters ?? 0;
    this.#cached.delete(key);
  }
}

function sizeOf({ files, skills }: PromptContext): number {
  const texts = [...files.map(({ text }) => text), ...skills.map(({ name, description }) => name + description)];
  // A little for the objects themselves, so that a million empty contexts are not free.
  return texts.reduce((sum, text) => sum + text.length + 100, 500);
}

/** A few files at a time, in their order. */
async function inBatches<Item, Value>(items: readonly Item[], work: (item: Item) => Promise<Value>): Promise<Value[]> {
  const results: Value[] = [];
  for (let start = 0; start < items.length; start += READ_AT_ONCE_MAX)
    results.push(...(await Promise.all(items.slice(start, start + READ_AT_ONCE_MAX).map(work))));
  return results;
}
