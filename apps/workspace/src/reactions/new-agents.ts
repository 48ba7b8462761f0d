import { dispatch, identity, type Result, type TenantContext, TRANSPORT_REFUSALS } from '@reef/contracts';
import { type Delivered, OnEvent } from '@reef/messaging';
import { InjectLogger } from '@reef/service';
import { Controller } from '@nestjs/common';
import type { Logger } from 'pino';
import { Folders } from '../folders.js';
import { MAIN, openFolder } from '../open-folder.js';

/** Whoever comes into being gets a folder. Commands may have come first: an open folder stays as it is. */
@Controller()
export class NewAgents {
  constructor(
    private readonly folders: Folders,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  @OnEvent(identity.events.TenantCreated)
  async onTenantCreated(
    _event: Delivered<typeof identity.events.TenantCreated>,
    context: TenantContext,
  ): Promise<void> {
    this.#settle(await openFolder(this.folders, context, MAIN));
  }

  @OnEvent(dispatch.events.AgentCreated)
  async onAgentCreated(event: Delivered<typeof dispatch.events.AgentCreated>, context: TenantContext): Promise<void> {
    const { agent, name } = event.data;
    this.#settle(await openFolder(this.folders, context, agent === MAIN.agent ? MAIN : { agent, name }));
  }

  #settle(opened: Result<unknown>): void {
    if (opened.ok) return;
    // Worth another try, and the feed brings the event again. Any other "no" would be the same tomorrow, and hold up all others.
    if (TRANSPORT_REFUSALS.some((code) => code === opened.code))
      throw new Error(`a folder could not be opened: ${opened.code}`);
    this.logger.warn({ code: opened.code }, "a new agent's folder could not be laid out");
  }
}
