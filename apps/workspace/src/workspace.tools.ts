import { type InputOf, type ResultOf, type TenantContext, workspace } from '@reef/contracts';
import { Command } from '@reef/messaging';
import { refuse } from '@reef/eventing';
import { DATABASE } from '@reef/service';
import { Controller, Inject } from '@nestjs/common';
import type { Pool } from 'pg';
import { Disk, refusalOf, sha256Of } from './disk.js';
import { type Change, type ChangeRefusal, Folders } from './folders.js';
import { QUOTA_FILES_MAX } from './limits.js';
import { isReachable, parseFilePath, parsePrefix } from './paths.js';
import { filesBelow, findFile } from './projections/files.js';
import {
  failed,
  isTool,
  listAnswer,
  parseCall,
  readAnswer,
  refusedAnswer,
  type ToolAnswer,
  type ToolCall,
} from './tools.js';

type RunTool = typeof workspace.commands.runTool;
type Input = InputOf<RunTool>;

const SOMEBODY_ELSES = failed("This folder is another person's.");
/** Refusals that the model can do something about; any other ends the call. */
const ANSWERED: ReadonlySet<string> = new Set<ChangeRefusal>([
  'path_refused',
  'not_a_file',
  'quota_exceeded',
  'too_large',
  'file_not_found',
  'agent_unknown',
]);

/** An agent's own way to its files: what goes wrong is an answer for the model, and each call is in the log. */
@Controller()
export class WorkspaceTools {
  constructor(
    @Inject(DATABASE) private readonly database: Pool,
    private readonly folders: Folders,
    private readonly disk: Disk,
  ) {}

  @Command(workspace.commands.runTool)
  async runTool(input: Input, context: TenantContext): Promise<ResultOf<RunTool>> {
    if (!isTool(input.name)) return refuse('tool_unknown', 'the workspace has no such tool');
    const call = parseCall(input.name, input.argumentsJson);
    const answer = 'isError' in call ? call : await this.#run(call, input, context);
    if ('ok' in answer) return answer;
    if (!answer.isError && input.name === 'write_file') return { ok: true, value: answer }; // In the log with what it wrote.
    const noted = await this.folders.note(context, input.agent, {
      type: 'runTool',
      data: {
        run: runOf(input, answer.isError),
        written: null,
        room: { bytes: 0, files: 0 },
        at: new Date().toISOString(),
      },
    });
    return noted.ok ? { ok: true, value: answer } : (noted as ResultOf<RunTool>);
  }

  async #run(
    call: ToolCall,
    input: Input,
    context: TenantContext,
  ): Promise<ToolAnswer | Extract<ResultOf<RunTool>, { ok: false }>> {
    if (call.name === 'list_files') return this.#list(call.input.prefix ?? '', input, context);
    const parsed = parseFilePath(`${input.agent}/${call.input.path}`);
    if (!parsed.ok) return refusedAnswer(parsed);
    if (!isReachable(parsed.within, input.user)) return SOMEBODY_ELSES;
    if (call.name === 'write_file') return this.#write(parsed.path, call.input.content, input, context);

    const { tenant } = context;
    const read = await this.folders.read(tenant, async () => {
      const { file } = await findFile(this.database, tenant, input.agent, parsed.path);
      const found = await this.disk.fs.read(tenant, parsed.path);
      if (!found.ok) return refusedAnswer(refusalOf(found));
      return file ? readAnswer(found.bytes, call.input) : refusedAnswer({ code: 'file_not_found', message: '' });
    });
    return read as ToolAnswer | Extract<ResultOf<RunTool>, { ok: false }>;
  }

  async #list(prefix: string, input: Input, { tenant }: TenantContext): Promise<ToolAnswer> {
    const parsed = parsePrefix(prefix);
    if (!parsed.ok) return refusedAnswer(parsed);
    const found = await filesBelow(this.database, tenant, `${input.agent}/${prefix}`, { limit: QUOTA_FILES_MAX });
    const files = found.map(({ path, bytes }) => ({ path: path.slice(input.agent.length + 1), bytes }));
    return listAnswer(files.filter(({ path }) => isReachable(path, input.user)));
  }

  async #write(
    path: string,
    content: string,
    input: Input,
    context: TenantContext,
  ): Promise<ToolAnswer | Extract<ResultOf<RunTool>, { ok: false }>> {
    const bytes = Buffer.from(content);
    const file = { path, bytes: bytes.length, sha256: sha256Of(bytes) };
    const written = await this.folders.change(context, input.agent, (room, at): Change<ToolAnswer> => ({
      command: { type: 'runTool', data: { run: runOf(input, false), written: file, room, at } },
      files: [{ path, sha256: file.sha256, content: bytes }],
      reply: () => ({ content: `Written, ${file.bytes} bytes.`, isError: false }),
    }));
    if (written.ok) return written.value;
    return ANSWERED.has(written.code) ? refusedAnswer(written) : (written as Extract<ResultOf<RunTool>, { ok: false }>);
  }
}

const runOf = ({ agent, turnId, toolCallId, name }: Input, isFailed: boolean) => ({
  agent,
  turnId,
  toolCallId,
  name,
  failed: isFailed,
});
